/** What every library must do: run against each implementation. What is written are labels: some know cartridges by nothing else. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { HsmError } from '../../src/errors.ts';
import type { Library } from '../../src/library/library.ts';
import { volumeLabel } from '../../src/media/format.ts';

/** A library with at least two drives, all empty and up, and three scratch cartridges in slots. */
export interface LibraryFixture {
  readonly library: Library;
  readonly drives: readonly [string, string, ...string[]];
  readonly barcodes: readonly [string, string, string, ...string[]];
  /** The same library after its daemon was stopped and started. */
  readonly restart: () => Promise<Library>;
  /** The same library after its daemon was killed. */
  readonly crash: (() => Promise<Library>) | null;
  /** Makes the next move of the robot, or the next load of a drive, fail. */
  readonly failNext: ((operation: 'move' | 'load') => void) | null;
}

/** Makes a fixture and registers its teardown. */
export type LibraryFactory = (t: ExecutionContext) => Promise<LibraryFixture>;

export function librarySuite(name: string, create: LibraryFactory): void {
  const library = (title: string, run: (t: ExecutionContext, fixture: LibraryFixture) => Promise<void>): void => {
    test(`${name}: ${title}`, async (t) => run(t, await create(t)));
  };

  library('the inventory names each drive, and each cartridge once', async (t, { library, drives, barcodes }) => {
    const inventory = await library.inventory();
    t.deepEqual(
      inventory.drives.map(({ name, state, admin, barcode }) => ({ name, state, admin, barcode })),
      drives.map((name) => ({ name, state: 'empty', admin: 'up', barcode: null })),
    );
    t.deepEqual(await everyBarcode(library), [...barcodes].sort());
  });

  library('a loaded cartridge is in its drive, ready at its beginning, and in no slot', async (t, { library, drives, barcodes }) => {
    const medium = await library.load(barcodes[0], drives[0]);
    t.is(medium.barcode, barcodes[0]);
    t.is(await medium.position(), 0);
    t.is(await holds(library, drives[0]), barcodes[0]);
    t.is(await state(library, drives[0]), 'ready');
    t.deepEqual(await everyBarcode(library), [...barcodes].sort());
  });

  library('unload puts the cartridge back into a slot, and an empty drive stays empty', async (t, { library, drives, barcodes }) => {
    await library.load(barcodes[0], drives[0]);
    await library.unload(drives[0]);
    t.is(await state(library, drives[0]), 'empty');
    t.true((await library.inventory()).slots.some(({ barcode }) => barcode === barcodes[0]));
    await library.unload(drives[0]);
    t.deepEqual(await everyBarcode(library), [...barcodes].sort());
  });

  library('load swaps what the drive holds, and what was written stays with its cartridge', async (t, { library, drives, barcodes }) => {
    const first = await library.load(barcodes[0], drives[0]);
    await first.writeBlock(volumeLabel(first.barcode));
    const second = await library.load(barcodes[1], drives[0]);
    t.is(await second.readBlock(Buffer.alloc(16)), 'end');
    await t.throwsAsync(first.position(), { instanceOf: HsmError, code: 'NOT_LOADED' });
    const again = await library.load(barcodes[0], drives[1]);
    t.deepEqual(await again.readBlock(Buffer.alloc(80)), volumeLabel(barcodes[0]));
    t.deepEqual(await everyBarcode(library), [...barcodes].sort());
  });

  library('loading what the drive holds already gives it out anew, at its beginning', async (t, { library, drives, barcodes }) => {
    const first = await library.load(barcodes[0], drives[0]);
    await first.writeBlock(volumeLabel(first.barcode));
    const second = await library.load(barcodes[0], drives[0]);
    t.is(await second.position(), 0);
    await t.throwsAsync(first.readBlock(Buffer.alloc(1)), { instanceOf: HsmError, code: 'NOT_LOADED' });
    t.deepEqual(await second.readBlock(Buffer.alloc(80)), volumeLabel(barcodes[0]));
  });

  library('two drives work at the same time', async (t, { library, drives, barcodes }) => {
    const media = await Promise.all([library.load(barcodes[0], drives[0]), library.load(barcodes[1], drives[1])]);
    await Promise.all(media.map((medium) => medium.writeBlock(volumeLabel(medium.barcode))));
    await Promise.all(media.map((medium) => medium.rewind()));
    const read = await Promise.all(media.map((medium) => medium.readBlock(Buffer.alloc(80))));
    t.deepEqual(read, [volumeLabel(barcodes[0]), volumeLabel(barcodes[1])]);
  });

  library('a cartridge that is in one drive, or on its way there, is EBUSY for another', async (t, { library, drives, barcodes }) => {
    const loading = library.load(barcodes[0], drives[0]);
    await t.throwsAsync(library.load(barcodes[0], drives[1]), { instanceOf: HsmError, code: 'EBUSY' });
    await loading;
    await t.throwsAsync(library.load(barcodes[0], drives[1]), { instanceOf: HsmError, code: 'EBUSY' });
    t.is(await state(library, drives[1]), 'empty');
    t.deepEqual(await everyBarcode(library), [...barcodes].sort());
  });

  library('a drive that loads or unloads is EBUSY for everybody else', async (t, { library, drives, barcodes }) => {
    const loading = library.load(barcodes[0], drives[0]);
    await t.throwsAsync(library.load(barcodes[1], drives[0]), { instanceOf: HsmError, code: 'EBUSY' });
    await t.throwsAsync(library.unload(drives[0]), { instanceOf: HsmError, code: 'EBUSY' });
    await loading;
    const unloading = library.unload(drives[0]);
    await t.throwsAsync(library.load(barcodes[1], drives[0]), { instanceOf: HsmError, code: 'EBUSY' });
    await unloading;
  });

  library('a drive whose medium is at work is busy, and is not unloaded', async (t, { library, drives, barcodes }) => {
    const medium = await library.load(barcodes[0], drives[0]);
    const writing = medium.writeBlock(Buffer.alloc(8 * 2 ** 20, 1));
    t.is(await state(library, drives[0]), 'busy');
    await t.throwsAsync(library.unload(drives[0]), { instanceOf: HsmError, code: 'EBUSY' });
    await t.throwsAsync(library.load(barcodes[1], drives[0]), { instanceOf: HsmError, code: 'EBUSY' });
    await writing;
    t.is(await state(library, drives[0]), 'ready');
  });

  library('unknown cartridges and drives are told apart', async (t, { library, drives, barcodes }) => {
    await t.throwsAsync(library.load('NOSUCH', drives[0]), { instanceOf: HsmError, code: 'NO_VOLUME' });
    t.is(await state(library, drives[0]), 'empty');
    await t.throwsAsync(library.load(barcodes[0], 'nodrive'), { instanceOf: HsmError, code: 'NO_DRIVE' });
    await t.throwsAsync(library.unload('nodrive'), { instanceOf: HsmError, code: 'NO_DRIVE' });
    await t.throwsAsync(library.setDrive('nodrive', 'up', null), { instanceOf: HsmError, code: 'NO_DRIVE' });
  });

  library('an unknown cartridge leaves what the drive holds where it is', async (t, { library, drives, barcodes }) => {
    await library.load(barcodes[0], drives[0]);
    await t.throwsAsync(library.load('NOSUCH', drives[0]), { instanceOf: HsmError, code: 'NO_VOLUME' });
    t.is(await holds(library, drives[0]), barcodes[0]);
  });

  library('a drive that is down loads nothing but can be emptied, and says why', async (t, { library, drives, barcodes }) => {
    const medium = await library.load(barcodes[0], drives[0]);
    await library.setDrive(drives[0], 'down', 'head dirty');
    await medium.writeBlock(volumeLabel(medium.barcode));
    const status = (await library.inventory()).drives.find((drive) => drive.name === drives[0]);
    t.like(status, { admin: 'down', reason: 'head dirty', barcode: barcodes[0] });
    const error = await t.throwsAsync<HsmError>(library.load(barcodes[1], drives[0]), { instanceOf: HsmError, code: 'DRIVE_DOWN' });
    t.regex(error.message, /head dirty/);
    await library.unload(drives[0]);
    await library.load(barcodes[0], drives[1]);
    await library.setDrive(drives[0], 'up', null);
    await library.load(barcodes[1], drives[0]);
    t.is(await state(library, drives[0]), 'ready');
  });

  library('after a restart a drive still holds its cartridge and its administrative state', async (t, { library, drives, barcodes, restart }) => {
    const medium = await library.load(barcodes[1], drives[1]);
    await medium.writeBlock(volumeLabel(medium.barcode));
    await library.setDrive(drives[0], 'down', 'in repair');
    const again = await restart();
    t.is(await holds(again, drives[1]), barcodes[1]);
    t.is(await state(again, drives[1]), 'ready');
    t.like((await again.inventory()).drives[0], { admin: 'down', reason: 'in repair' });
    t.deepEqual(await everyBarcode(again), [...barcodes].sort());
    const loaded = await again.load(barcodes[1], drives[1]);
    t.deepEqual(await loaded.readBlock(Buffer.alloc(80)), volumeLabel(barcodes[1]));
  });

  library('after the daemon was killed it is the same, and what was synchronized is there', async (t, fixture) => {
    if (fixture.crash === null) return passOver(t, 'the daemon of this library cannot be killed');
    const { library, drives, barcodes } = fixture;
    const medium = await library.load(barcodes[1], drives[1]);
    await medium.writeBlock(volumeLabel(medium.barcode));
    await medium.writeFilemark({ sync: true });
    const again = await fixture.crash();
    t.is(await holds(again, drives[1]), barcodes[1]);
    await t.throwsAsync(again.load(barcodes[1], drives[0]), { instanceOf: HsmError, code: 'EBUSY' });
    const loaded = await again.load(barcodes[1], drives[1]);
    t.deepEqual(await loaded.readBlock(Buffer.alloc(80)), volumeLabel(barcodes[1]));
    await again.unload(drives[1]);
    t.deepEqual(await everyBarcode(again), [...barcodes].sort());
  });

  library('a failed move fails the load with EIO, loses nothing and can be tried again', async (t, fixture) => {
    if (fixture.failNext === null) return passOver(t, 'the robot of this library cannot be made to fail');
    const { library, drives, barcodes } = fixture;
    fixture.failNext('move');
    await t.throwsAsync(library.load(barcodes[0], drives[0]), { instanceOf: HsmError, code: 'EIO' });
    t.is(await holds(library, drives[0]), null);
    t.deepEqual(await everyBarcode(library), [...barcodes].sort());
    await library.load(barcodes[0], drives[0]);
    fixture.failNext('move');
    await t.throwsAsync(library.load(barcodes[1], drives[0]), { instanceOf: HsmError, code: 'EIO' });
    t.is(await holds(library, drives[0]), barcodes[0], 'still there');
    fixture.failNext('move');
    await t.throwsAsync(library.unload(drives[0]), { instanceOf: HsmError, code: 'EIO' });
    t.deepEqual(await everyBarcode(library), [...barcodes].sort());
    t.is((await library.load(barcodes[0], drives[0])).barcode, barcodes[0]);
    t.is((await library.load(barcodes[1], drives[0])).barcode, barcodes[1]);
  });

  library('a drive that fails while loading is out of use until it is set up, and gives its cartridge back', async (t, fixture) => {
    if (fixture.failNext === null) return passOver(t, 'the drives of this library cannot be made to fail');
    const { library, drives, barcodes } = fixture;
    fixture.failNext('load');
    await t.throwsAsync(library.load(barcodes[0], drives[0]), { instanceOf: HsmError, code: 'EIO' });
    t.is(await state(library, drives[0]), 'failed');
    t.is(await holds(library, drives[0]), barcodes[0]);
    await t.throwsAsync(library.load(barcodes[1], drives[0]), { instanceOf: HsmError, code: 'DRIVE_DOWN' });
    await library.unload(drives[0]);
    t.is(await state(library, drives[0]), 'failed', 'an empty broken drive is a broken drive');
    t.is((await library.load(barcodes[0], drives[1])).barcode, barcodes[0]);
    await library.setDrive(drives[0], 'up', null);
    t.is((await library.load(barcodes[1], drives[0])).barcode, barcodes[1]);
  });

  library('a closed library does nothing any more, and closing twice is closing once', async (t, { library, drives, barcodes }) => {
    const medium = await library.load(barcodes[0], drives[0]);
    await library.close();
    await library.close();
    await t.throwsAsync(medium.position(), { instanceOf: HsmError, code: 'NOT_LOADED' });
    await t.throwsAsync(library.load(barcodes[1], drives[1]), { instanceOf: HsmError, code: 'ECANCELED' });
    await t.throwsAsync(library.unload(drives[0]), { instanceOf: HsmError, code: 'ECANCELED' });
  });
}

async function everyBarcode(library: Library): Promise<string[]> {
  const { drives, slots } = await library.inventory();
  return [...drives, ...slots].flatMap(({ barcode }) => barcode ?? []).sort();
}

const find = async (library: Library, drive: string) => (await library.inventory()).drives.find(({ name }) => name === drive);

const holds = async (library: Library, drive: string) => (await find(library, drive))?.barcode;

const state = async (library: Library, drive: string) => (await find(library, drive))?.state;

function passOver(t: ExecutionContext, reason: string): void {
  t.log(`not tested: ${reason}`);
  t.pass();
}
