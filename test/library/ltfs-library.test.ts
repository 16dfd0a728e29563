import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { HsmError } from '../../src/errors.ts';
import { createVirtualLibrary } from '../../src/library/create-library.ts';
import { openLtfsFolderLibrary } from '../../src/library/ltfs-library.ts';
import type { LtfsPrograms } from '../../src/library/ltfs-mount.ts';
import { openLibrary } from '../../src/library/open-library.ts';
import type { ScsiLibrary } from '../../src/library/scsi-library.ts';
import { labelVolume, readVolumeLabel } from '../../src/media/containers.ts';
import { native } from '../../src/native/index.ts';
import { fakeLtfs, makeTrouble, realLtfs } from '../fixtures/ltfs/index.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';
import { librarySuite, type LibraryFixture } from '../suites/library.ts';

const capacity = { fake: 64 * 2 ** 20, reference: 2 ** 30 } as const;

async function created(t: ExecutionContext, kind: keyof typeof capacity, programs: LtfsPrograms): Promise<{ dir: string; barcodes: string[] }> {
  const dir = join(await temporaryFolder(t), 'library');
  const cartridges = await createVirtualLibrary(dir, { drives: 2, cartridges: 3, capacity: capacity[kind], format: 'ltfs', programs });
  return { dir, barcodes: cartridges.map(({ barcode }) => barcode) };
}

async function fixture(t: ExecutionContext, kind: keyof typeof capacity, programs: LtfsPrograms): Promise<LibraryFixture> {
  const { dir, barcodes } = await created(t, kind, programs);
  let library = await openLtfsFolderLibrary({ path: dir }, programs);
  t.teardown(() => library.close());
  return {
    library,
    drives: ['drive0', 'drive1'],
    barcodes: barcodes as unknown as [string, string, string],
    restart: async () => {
      await library.close();
      library = await openLtfsFolderLibrary({ path: dir }, programs);
      return library;
    },
    crash: async () => {
      library.abandon();
      library = await openLtfsFolderLibrary({ path: dir }, programs);
      return library;
    },
    failNext: null,
  };
}

librarySuite('LTFS library', (t) => fixture(t, 'fake', fakeLtfs));

// LTFS's own programs are in no Debian package: the fake above is what runs everywhere.
if (realLtfs === null) test.skip('LTFS library of the reference: there is no ltfs on PATH', (t) => t.pass());
else librarySuite('LTFS library of the reference', (t) => fixture(t, 'reference', realLtfs!));

async function opened(t: ExecutionContext): Promise<{ dir: string; barcodes: string[]; library: ScsiLibrary }> {
  const made = await created(t, 'fake', fakeLtfs);
  const library = await openLtfsFolderLibrary({ path: made.dir }, fakeLtfs);
  t.teardown(() => library.close());
  return { ...made, library };
}

const ltfsAt = (dir: string, drive: string): number => Number(readFileSync(join(dir, 'mounts', `${drive}.pid`), 'utf8').split(' ')[0]);

test('an ltfs that takes its time after the umount is waited for before the cartridge goes', async (t) => {
  const { dir, barcodes, library } = await opened(t);
  const [barcode = ''] = barcodes;
  makeTrouble(join(dir, 'cartridges', barcode), { lateExitMs: 1500 });
  await labelVolume(await library.load(barcode, 'drive0'));
  const pid = ltfsAt(dir, 'drive0');
  await library.unload('drive0');
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, 'it has ended');
  t.is(await readVolumeLabel(await library.load(barcode, 'drive1')), barcode);
});

test('an ltfs that a dead daemon left behind is unmounted and waited for, and its cartridge is where it was', async (t) => {
  const { dir, barcodes, library } = await opened(t);
  const [barcode = ''] = barcodes;
  await labelVolume(await library.load(barcode, 'drive1'));
  const orphan = ltfsAt(dir, 'drive1');
  makeTrouble(join(dir, 'cartridges', barcode), { lateExitMs: 1000 });
  library.abandon();
  const next = await openLtfsFolderLibrary({ path: dir }, fakeLtfs);
  t.teardown(() => next.close());
  t.deepEqual((await next.inventory()).drives.map((drive) => drive.barcode), [null, barcode]);
  t.is(await readVolumeLabel(await next.load(barcode, 'drive1')), barcode);
  t.not(ltfsAt(dir, 'drive1'), orphan);
  t.throws(() => process.kill(orphan, 0), { code: 'ESRCH' });
});

test('a cartridge that LTFS cannot mount is no volume, until it is formatted', async (t) => {
  const { dir, barcodes, library } = await opened(t);
  const [barcode = ''] = barcodes;
  makeTrouble(join(dir, 'cartridges', barcode), { mountFails: true });
  const medium = await library.load(barcode, 'drive0');
  const error = await t.throwsAsync<HsmError>(readVolumeLabel(medium), { instanceOf: HsmError, code: 'EIO' });
  t.regex(error.message, /LTFS cannot mount .*: .*Cannot mount the volume: index is inconsistent/);
  await t.throwsAsync(medium.locateEnd(), { code: 'EIO' });
  makeTrouble(join(dir, 'cartridges', barcode), {});
  await labelVolume(medium);
  t.is(await readVolumeLabel(medium), barcode);
});

test('a volume whose ltfs died is mounted again for its reader', async (t) => {
  const { dir, barcodes, library } = await opened(t);
  const [barcode = ''] = barcodes;
  const medium = await library.load(barcode, 'drive0');
  await labelVolume(medium);
  await medium.writeBlock(Buffer.from('synchronized'));
  await medium.writeFilemark({ sync: true });
  process.kill(ltfsAt(dir, 'drive0'), 'SIGKILL');
  await medium.locate(3);
  t.deepEqual(await medium.readBlock(Buffer.alloc(16)), Buffer.from('synchronized'));
  t.is(await medium.readBlock(Buffer.alloc(16)), 'filemark');
  t.is(await medium.readBlock(Buffer.alloc(16)), 'end');
});

test('a volume on which a container lost its mark is not read as one that ends there', async (t) => {
  const { dir, barcodes, library } = await opened(t);
  const [barcode = ''] = barcodes;
  const medium = await library.load(barcode, 'drive0');
  await labelVolume(medium);
  for (const text of ['one', 'two']) {
    await medium.writeBlock(Buffer.from(text));
    await medium.writeFilemark({ sync: true });
  }
  native.removexattr(join(dir, 'mounts/drive0/containers/000001'), 'user.hsm.container');
  const again = await library.load(barcode, 'drive0');
  await t.throwsAsync(again.locateEnd(), { instanceOf: HsmError, code: 'EIO', message: /000001 is damaged, and 000002 is behind it/ });
  await t.throwsAsync(again.locate(3), { code: 'EIO' });
});

test('a volume that needs ltfsck is mounted after it', async (t) => {
  const { dir, barcodes, library } = await opened(t);
  const [barcode = ''] = barcodes;
  await labelVolume(await library.load(barcode, 'drive0'));
  await library.unload('drive0');
  makeTrouble(join(dir, 'cartridges', barcode), { mountFails: true, checkRepairs: true });
  t.is(await readVolumeLabel(await library.load(barcode, 'drive0')), barcode);
});

test('the configuration must name the format that the library has', async (t) => {
  const { dir, library } = await opened(t);
  await library.close();
  await t.throwsAsync(openLibrary({ kind: 'virtual', path: dir, timing: 'none', format: 'tar' }), { instanceOf: HsmError, code: 'CONFIG', message: /holds ltfs volumes and the configuration says tar/ });
});
