import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { exportVolume, importVolume, labelOf, lockVolume, retireVolume, unlockVolume, type ShelfParts } from '../../src/daemon/shelf.ts';
import { locatedVolumes } from '../../src/daemon/tapes.ts';
import { DrivePool } from '../../src/library/drive-pool.ts';
import { createVirtualLibrary, openVirtualLibrary } from '../../src/library/virtual-library.ts';
import { labelVolume } from '../../src/media/containers.ts';
import { addContainer, membersOf, temporaryCatalog, temporaryFolder } from '../fixtures/catalogue.ts';

const barcode = 'V00001L9';
const never = new AbortController().signal;

/** Two cartridges, the first one labelled and with an object. */
async function site(t: ExecutionContext, wants: (volume: string) => boolean = () => false) {
  const { catalog } = temporaryCatalog(t);
  const dir = join(temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 1, cartridges: 2, capacity: 2 ** 24 });
  const library = await openVirtualLibrary(dir);
  t.teardown(() => library.close());
  const drives = await DrivePool.open(library);
  for (const each of [barcode, 'V00002L9']) await catalog.addVolume({ barcode: each, pool: 'main', capacity: 2 ** 24 });
  const { id: filesystem } = await catalog.addFilesystem({ path: '/data', type: 'ext4', uuid: '11111111-2222-3333-4444-555555555555' });
  const serial = await drives.withVolume(barcode, 'write', 'bulk', labelVolume);
  await catalog.setVolume(barcode, { state: 'writable', serial, endBlock: 3 });
  await catalog.addArchived([await addContainer(catalog, barcode)], membersOf(filesystem, [{ ino: 1 }]));
  let lookedAgain = 0;
  const parts: ShelfParts = {
    catalog,
    library,
    drives,
    log: undefined as never,
    recaller: { wants, volumeIsBack: async () => void (lookedAgain += 1) } as unknown as ShelfParts['recaller'],
  };
  return { ...parts, parts, dir, lookedAgain: () => lookedAgain };
}

const stateOf = async ({ catalog }: Pick<ShelfParts, 'catalog'>) => (await catalog.volume(barcode))?.state;

test('a volume in a drive goes to the shelf, and comes back as it was', async (t) => {
  const { parts, dir, catalog, library, lookedAgain } = await site(t);
  await catalog.setVolume(barcode, { state: 'suspect', reason: 'a test' });
  const { state, location } = await exportVolume(parts, barcode, never);
  t.deepEqual([state, location], ['exported', join(dir, 'shelf')]);
  t.true(existsSync(join(dir, 'shelf', `${barcode}.tap`)));
  t.is((await library.inventory()).slots.some((slot) => slot.barcode === barcode), false);
  t.is((await locatedVolumes({ catalog, library })).find((each) => each.barcode === barcode)?.location, 'shelf');
  await t.throwsAsync(exportVolume(parts, barcode, never), { code: 'REFUSED' });
  t.is((await importVolume(parts, barcode)).state, 'suspect');
  t.like(await catalog.volume(barcode), { state: 'suspect', reason: 'a test' });
  t.is(lookedAgain(), 1);
  t.like(await labelOf(parts, barcode), { label: barcode, isRight: true });
  await t.throwsAsync(importVolume(parts, barcode), { code: 'REFUSED' });
});

test('an export waits for the recalls that were queued, and is taken back when the caller gives up', async (t) => {
  let asked = 0;
  const { parts } = await site(t, () => ++asked < 3);
  t.is((await exportVolume(parts, barcode, never)).state, 'exported');
  t.is(asked, 3);
  const other = await site(t, () => true);
  const gaveUp = new AbortController();
  const ended = exportVolume(other.parts, barcode, gaveUp.signal);
  gaveUp.abort();
  await t.throwsAsync(ended, { code: 'ECANCELED' });
  t.is(await stateOf(other), 'writable');
});

test('a cartridge with another label, and one that is not there, stay exported', async (t) => {
  const { parts, catalog, library, drives } = await site(t);
  await exportVolume(parts, barcode, never);
  // Somebody writes a new label on it elsewhere.
  await library.importCartridge(barcode);
  await drives.withVolume(barcode, 'write', 'bulk', labelVolume);
  await t.throwsAsync(importVolume(parts, barcode), { code: 'WRONG_VOLUME' });
  t.is(await stateOf({ catalog }), 'exported');
  t.like(await labelOf(parts, barcode), { isRight: false });
  const away = await site(t);
  await exportVolume(away.parts, barcode, never);
  await away.library.importCartridge(barcode);
  await away.library.exportCartridge(barcode);
  rmSync(join(away.dir, 'shelf', `${barcode}.tap`));
  await t.throwsAsync(importVolume(away.parts, barcode), { code: 'NO_VOLUME' });
  t.is(await stateOf(away), 'exported');
});

test('a locked volume is read only until it is unlocked', async (t) => {
  const { parts, catalog } = await site(t);
  await lockVolume(parts, barcode, 'sealed');
  t.like(await catalog.volume(barcode), { state: 'readonly', reason: 'locked: sealed' });
  t.is((await unlockVolume(parts, barcode)).state, 'writable');
  await t.throwsAsync(unlockVolume(parts, barcode), { code: 'REFUSED' });
  await lockVolume(parts, 'V00002L9', null);
  t.is((await unlockVolume(parts, 'V00002L9')).state, 'scratch');
  await catalog.setVolume(barcode, { state: 'failed' });
  await t.throwsAsync(lockVolume(parts, barcode, null), { code: 'REFUSED' });
});

test('only a volume without objects is retired, and then nobody knows it', async (t) => {
  const { parts, catalog, library } = await site(t);
  await t.throwsAsync(retireVolume(parts, barcode, never), { code: 'REFUSED' });
  await t.throwsAsync(catalog.removeVolume(barcode), { code: 'REFUSED' });
  t.is((await retireVolume(parts, 'V00002L9', never)).state, 'retired');
  t.is(await catalog.volume('V00002L9'), undefined);
  t.deepEqual((await library.inventory()).slots.flatMap((slot) => slot.barcode ?? []), [(await library.inventory()).drives[0]?.barcode === barcode ? [] : barcode].flat());
  t.deepEqual(await catalog.check(), []);
});
