import { copyFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { HsmError } from '../../src/errors.ts';
import { ManualClock } from '../../src/library/clock.ts';
import { cartridgeFiles } from '../../src/media/cartridge-record.ts';
import { Faults } from '../../src/media/decorators/with-faults.ts';
import { createVirtualLibrary, openVirtualLibrary } from '../../src/library/virtual-library.ts';
import type { OpenLibraryOptions } from '../../src/library/virtual-library.ts';
import { hastyClock } from '../fixtures/hasty-clock.ts';
import { cutPower, durableEnd } from '../fixtures/power-cut.ts';
import { seededRandom } from '../fixtures/random.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';
import type { LibraryFixture } from '../suites/library.ts';
import { librarySuite } from '../suites/library.ts';
import { mediumSuite } from '../suites/medium.ts';

const MiB = 2 ** 20;

librarySuite('virtual library', (t) => libraryFixture(t, {}));

librarySuite('virtual library with the timing of LTO-8', (t) => libraryFixture(t, { timing: 'lto8', clock: hastyClock() }));

mediumSuite('a medium out of a virtual library', async (t, capacity) => {
  const dir = join(await temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 1, cartridges: 2, capacity });
  let library = await openVirtualLibrary(dir);
  t.teardown(() => library.close());
  return {
    medium: await library.load('V00001L9', 'drive0'),
    reload: async () => {
      await library.unload('drive0');
      return library.load('V00001L9', 'drive0');
    },
    protect: async () => {
      await library.unload('drive0');
      await library.setWriteProtect('V00001L9', true);
      return library.load('V00001L9', 'drive0');
    },
    swap: () => library.load('V00002L9', 'drive0'),
    powerCut: async (survives, debris) => {
      await library.abandon();
      const files = cartridgeFiles(join(dir, 'cartridges'), 'V00001L9');
      await cutPower(files.tap, await durableEnd(files), survives, debris, seededRandom(3));
      library = await openVirtualLibrary(dir);
      return library.load('V00001L9', 'drive0');
    },
    fillable: true,
  };
});

test('barcodes are numbered on, and cartridges can have names of their own', async (t) => {
  const dir = join(await temporaryFolder(t), 'library');
  t.deepEqual(await createVirtualLibrary(dir, { drives: 1, cartridges: 2, capacity: MiB, generation: 'L8' }), [
    { barcode: 'V00001L8', capacity: MiB },
    { barcode: 'V00002L8', capacity: MiB },
  ]);
  const library = await openVirtualLibrary(dir);
  t.teardown(() => library.close());
  t.deepEqual(await library.addCartridges({ count: 1, capacity: 2 * MiB }), [{ barcode: 'V00003L8', capacity: 2 * MiB }]);
  t.deepEqual(await library.addCartridges({ barcodes: ['948324L8'] }), [{ barcode: '948324L8', capacity: MiB }]);
  const medium = await library.load('948324L8', 'drive0');
  t.is((await medium.capacity()).capacity, MiB);
  await t.throwsAsync(library.addCartridges({ barcodes: ['NEW001L8', '948324L8'] }), { instanceOf: HsmError, code: 'EEXIST' });
  await t.throwsAsync(library.addCartridges({ barcodes: ['../../etc'] }), { instanceOf: HsmError, code: 'USAGE' });
  const { slots } = await library.inventory();
  t.deepEqual(
    slots.map(({ barcode }) => barcode),
    ['V00001L8', 'V00002L8', 'V00003L8', null],
  );
});

test('a folder that is not empty, or a library already, is refused', async (t) => {
  const dir = await temporaryFolder(t);
  await writeFile(join(dir, 'precious'), 'x');
  await t.throwsAsync(createVirtualLibrary(dir, { drives: 1, cartridges: 1, capacity: MiB }), { instanceOf: HsmError, code: 'REFUSED' });
  const library = join(dir, 'library');
  await createVirtualLibrary(library, { drives: 1, cartridges: 1, capacity: MiB });
  const error = await t.throwsAsync<HsmError>(createVirtualLibrary(library, { drives: 1, cartridges: 1, capacity: MiB }), { code: 'REFUSED' });
  t.is(error.exit, 5);
});

test('an impossible library is a mistake of usage', async (t) => {
  const dir = join(await temporaryFolder(t), 'library');
  for (const wrong of [{ drives: 0 }, { drives: 1.5 }, { drives: 65 }, { capacity: 10 }, { capacity: Number.NaN }]) {
    await t.throwsAsync(createVirtualLibrary(dir, { drives: 1, cartridges: 1, capacity: MiB, ...wrong }), { instanceOf: HsmError, code: 'USAGE' });
  }
});

test('no library, or a damaged one, is a problem of the configuration that names the file', async (t) => {
  const dir = await temporaryFolder(t);
  await t.throwsAsync(openVirtualLibrary(dir), { instanceOf: HsmError, code: 'CONFIG', message: /library\.json cannot be read/ });
  await writeFile(join(dir, 'library.json'), '{"version": 1, "drives": "many"}');
  await t.throwsAsync(openVirtualLibrary(dir), { instanceOf: HsmError, code: 'CONFIG', message: /library\.json is damaged/ });
});

test('loading and moving take the time that they take in the field', async (t) => {
  const dir = join(await temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 1, cartridges: 2, capacity: 64 * MiB, timing: 'lto9' });
  const clock = new ManualClock();
  const library = await openVirtualLibrary(dir, { clock });
  t.teardown(() => library.close());
  await clock.until(library.load('V00001L9', 'drive0'));
  t.is(clock.now(), 1000 * (10 + 16), 'a move and a load');
  await clock.until(library.load('V00002L9', 'drive0'));
  t.is(clock.now(), 1000 * (10 + 16 + 56 + 10 + 10 + 16), 'unload, both moves, load; rewinding an unused tape takes no time');
});

test('closing ends a load that would take a minute, and the cartridge is found where it was left', async (t) => {
  const dir = join(await temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 1, cartridges: 1, capacity: MiB, timing: 'lto9' });
  const clock = new ManualClock();
  const library = await openVirtualLibrary(dir, { clock });
  const loading = t.throwsAsync(library.load('V00001L9', 'drive0'), { instanceOf: HsmError, code: 'ECANCELED' });
  await clock.advance(12_000);
  t.is((await library.inventory()).drives[0]?.state, 'loading');
  await library.close();
  await loading;
  const again = await openVirtualLibrary(dir, { timing: 'none' });
  t.teardown(() => again.close());
  t.like((await again.inventory()).drives[0], { barcode: 'V00001L9', state: 'ready' });
  t.is((await again.load('V00001L9', 'drive0')).barcode, 'V00001L9');
});

test('cartridges whose files come and go come and go with them, and a lost record is made anew', async (t) => {
  const dir = join(await temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 2, cartridges: 3, capacity: MiB });
  const first = await openVirtualLibrary(dir);
  await first.load('V00001L9', 'drive0');
  const medium = await first.load('V00002L9', 'drive1');
  await medium.writeBlock(Buffer.from('kept'));
  await first.close();
  const files = cartridgeFiles(join(dir, 'cartridges'), 'V00001L9');
  for (const path of [files.tap, files.record, files.index]) await rm(path, { force: true });
  await rm(cartridgeFiles(join(dir, 'cartridges'), 'V00002L9').record);
  await writeFile(cartridgeFiles(join(dir, 'cartridges'), 'BYHAND').tap, '');
  await writeFile(join(dir, 'cartridges', 'not a barcode.tap'), '');
  const second = await openVirtualLibrary(dir);
  t.teardown(() => second.close());
  const { drives, slots } = await second.inventory();
  t.deepEqual(
    drives.map(({ barcode, state }) => [barcode, state]),
    [
      [null, 'empty'],
      ['V00002L9', 'ready'],
    ],
  );
  t.deepEqual(slots.flatMap(({ barcode }) => barcode ?? []).sort(), ['BYHAND', 'V00003L9']);
  await t.throwsAsync(second.load('V00001L9', 'drive0'), { instanceOf: HsmError, code: 'NO_VOLUME' });
  const kept = await second.load('V00002L9', 'drive1');
  t.deepEqual(await kept.readBlock(Buffer.alloc(10)), Buffer.from('kept'));
  const byHand = await second.load('BYHAND', 'drive0');
  t.is((await byHand.capacity()).capacity, MiB);
});

test('a .tap that vanishes while the daemon runs fails its load only', async (t) => {
  const dir = join(await temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 1, cartridges: 2, capacity: MiB });
  const library = await openVirtualLibrary(dir);
  t.teardown(() => library.close());
  await rm(cartridgeFiles(join(dir, 'cartridges'), 'V00001L9').tap);
  const error = await t.throwsAsync<HsmError>(library.load('V00001L9', 'drive0'), { instanceOf: HsmError, code: 'EIO' });
  t.is(error.retry, 'other-copy');
  t.is((await library.load('V00002L9', 'drive0')).barcode, 'V00002L9');
});

test('a cartridge in the box of another is WRONG_VOLUME', async (t) => {
  const dir = join(await temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 1, cartridges: 2, capacity: MiB });
  const [one, two] = ['V00001L9', 'V00002L9'].map((barcode) => cartridgeFiles(join(dir, 'cartridges'), barcode));
  await copyFile(two!.record, one!.record);
  await copyFile(two!.tap, one!.tap);
  const library = await openVirtualLibrary(dir);
  t.teardown(() => library.close());
  const error = await t.throwsAsync<HsmError>(library.load('V00001L9', 'drive0'), { instanceOf: HsmError, code: 'WRONG_VOLUME' });
  t.is(error.retry, 'other-copy');
  t.is((await library.load('V00002L9', 'drive0')).barcode, 'V00002L9');
});

test('write protection is a tab on a cartridge in its slot', async (t) => {
  const dir = join(await temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 1, cartridges: 1, capacity: MiB });
  const library = await openVirtualLibrary(dir);
  t.teardown(() => library.close());
  await t.throwsAsync(library.setWriteProtect('NOSUCH', true), { instanceOf: HsmError, code: 'NO_VOLUME' });
  await library.load('V00001L9', 'drive0');
  await t.throwsAsync(library.setWriteProtect('V00001L9', true), { instanceOf: HsmError, code: 'EBUSY' });
  await library.unload('drive0');
  await library.setWriteProtect('V00001L9', true);
  t.true((await library.load('V00001L9', 'drive0')).writeProtected);
  await library.unload('drive0');
  await library.setWriteProtect('V00001L9', false);
  t.false((await library.load('V00001L9', 'drive0')).writeProtected);
});

async function libraryFixture(t: ExecutionContext, options: OpenLibraryOptions): Promise<LibraryFixture> {
  const dir = join(await temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 2, cartridges: 3, capacity: 64 * MiB });
  const faults = new Faults();
  let library = await openVirtualLibrary(dir, { ...options, faults });
  t.teardown(() => library.close());
  return {
    library,
    drives: ['drive0', 'drive1'],
    barcodes: ['V00001L9', 'V00002L9', 'V00003L9'],
    restart: async () => {
      await library.close();
      return (library = await openVirtualLibrary(dir, { ...options, faults }));
    },
    crash: async () => {
      await library.abandon();
      return (library = await openVirtualLibrary(dir, { ...options, faults }));
    },
    failNext: (operation) => faults.failNth(operation, 1),
  };
}
