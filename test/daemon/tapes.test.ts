import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { elements, formatTape } from '../../src/daemon/tapes.ts';
import type { Config } from '../../src/config.ts';
import { HsmError } from '../../src/errors.ts';
import { DrivePool } from '../../src/library/drive-pool.ts';
import { createVirtualLibrary, openVirtualLibrary } from '../../src/library/virtual-library.ts';
import { labelVolume, readVolumeLabel } from '../../src/media/containers.ts';
import { decorate } from '../../src/media/decorators/decorate.ts';
import type { Medium } from '../../src/media/medium.ts';
import { addContainer, membersOf, temporaryCatalog, temporaryFolder } from '../fixtures/catalogue.ts';

/** A library of two cartridges, of which the catalogue knows the first. */
async function site(t: ExecutionContext) {
  const { catalog } = temporaryCatalog(t);
  const dir = join(temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 1, cartridges: 2, capacity: 2 ** 24 });
  const library = await openVirtualLibrary(dir);
  t.teardown(() => library.close());
  const drives = await DrivePool.open(library);
  const barcode = 'V00001L9';
  await catalog.addVolume({ barcode, pool: null, capacity: 2 ** 24 });
  const use = <T>(action: (medium: Medium) => Promise<T>): Promise<T> => drives.withVolume(barcode, 'write', 'bulk', action);
  return { catalog, library, drives, barcode, use };
}

test('a blank volume, and one with its own label, is formatted and scratch', async (t) => {
  const { catalog, drives, barcode, use } = await site(t);
  for (const state of ['writable', 'full', 'readonly', 'suspect'] as const) {
    await formatTape({ catalog, drives }, barcode, false);
    t.like(await catalog.volume(barcode), { state: 'scratch', endBlock: 3 });
    t.is(await use(readVolumeLabel), barcode);
    await catalog.setVolume(barcode, { state: 'writable' });
    if (state !== 'writable') await catalog.setVolume(barcode, { state, reason: 'a test' });
  }
});

test("another volume's label and data that hsm did not write are destroyed with force only", async (t) => {
  const { catalog, drives, barcode, use } = await site(t);
  const foreign: [RegExp, (medium: Medium) => Promise<unknown>][] = [
    [/bears the label of OTHER: --force destroys it/, (medium) => labelVolume(decorate(medium, { barcode: 'OTHER' }))],
    [/bears data that hsm did not write: --force destroys it/, (medium) => medium.rewind().then(() => medium.writeBlock(Buffer.from('somebody’s tar')))],
    [/bears data that hsm did not write/, (medium) => medium.rewind().then(() => medium.writeBlock(Buffer.alloc(10_000)))],
  ];
  for (const [message, write] of foreign) {
    await use(write);
    await t.throwsAsync(formatTape({ catalog, drives }, barcode, false), { instanceOf: HsmError, code: 'REFUSED', message });
    await formatTape({ catalog, drives }, barcode, true);
    t.is(await use(readVolumeLabel), barcode);
  }
});

test('a volume with objects, and one that is not there, is not formatted', async (t) => {
  const { catalog, drives, barcode, use } = await site(t);
  const { id: filesystem } = await catalog.addFilesystem({ path: '/data', type: 'ext4', uuid: '11111111-2222-3333-4444-555555555555' });
  await catalog.setVolume(barcode, { state: 'writable', pool: 'p', endBlock: 3 });
  await catalog.addArchived([await addContainer(catalog, barcode)], membersOf(filesystem, [{ ino: 12 }]));
  await t.throwsAsync(formatTape({ catalog, drives }, barcode, true), { instanceOf: HsmError, code: 'REFUSED', message: /holds 1 objects/ });
  t.is(await use(readVolumeLabel), 'blank', 'nothing was written');
  await t.throwsAsync(formatTape({ catalog, drives }, 'NOSUCH', true), { instanceOf: HsmError, code: 'NO_VOLUME' });
});

/** No cleaning cartridges. */
const config = { library: { kind: 'virtual' } } as Config;

test('the inventory tells what the catalogue knows of each cartridge', async (t) => {
  const { catalog, library } = await site(t);
  t.deepEqual(await elements({ catalog, library, config }, true), [
    { location: 'drive0', barcode: null, state: null },
    { location: 'slot 1', barcode: 'V00001L9', state: 'scratch' },
    { location: 'slot 2', barcode: 'V00002L9', state: null },
  ]);
});
