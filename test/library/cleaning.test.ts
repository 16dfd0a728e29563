import { readFileSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { HsmError } from '../../src/errors.ts';
import { DrivePool } from '../../src/library/drive-pool.ts';
import { fakeReel } from '../fixtures/fake-tape.ts';
import { openedRig, type Rig } from '../fixtures/scsi-rig.ts';

const limit = 900_000;
const cleaner = 'CLN001L1';
const withCleaner = (t: ExecutionContext) => openedRig(t, ({ silo }) => writeFileSync(silo, JSON.stringify({ drives: [null, null], slots: ['S00001L9', 'S00002L9', cleaner, null, null, null] })));
const silo = (rig: Rig): { drives: unknown[]; slots: unknown[] } => JSON.parse(readFileSync(rig.silo, 'utf8')) as { drives: unknown[]; slots: unknown[] };

test('a drive puts its volume away, cleans until it ejects the cartridge, and that goes back to its slot', async (t) => {
  const { library, rig } = await withCleaner(t);
  const medium = await library.load('S00001L9', 'drive0');
  rig.trouble.cleaning = 5;
  await library.clean(cleaner, 'drive0', limit);
  t.true(rig.trouble.cleaning < 0, 'it waited');
  t.deepEqual(silo(rig), { drives: [null, null], slots: ['S00001L9', 'S00002L9', cleaner, null, null, null] });
  await t.throwsAsync(medium.rewind(), { code: 'NOT_LOADED' });
  t.is((await library.load('S00001L9', 'drive0')).barcode, 'S00001L9');
  t.is((await library.inventory()).drives[0]?.state, 'ready');
});

test('a drive that never ends, or never takes the cartridge, fails, and gives the cartridge back', async (t) => {
  const { library, rig } = await withCleaner(t);
  rig.trouble.cleaning = 1e9;
  await t.throwsAsync(library.clean(cleaner, 'drive0', limit), { instanceOf: HsmError, code: 'CLEANING', message: /not clean after 900 s/ });
  rig.trouble.cleaning = 0;
  await t.throwsAsync(library.clean(cleaner, 'drive0', limit), { instanceOf: HsmError, code: 'CLEANING', message: /may be used up/ });
  t.deepEqual(silo(rig).slots.slice(0, 3), ['S00001L9', 'S00002L9', cleaner]);
  t.is((await library.inventory()).drives[0]?.state, 'empty');
});

test('a cartridge that a drive can read is no cleaning cartridge: it is taken out, unread and unwritten', async (t) => {
  const { library, rig } = await withCleaner(t);
  const reel = fakeReel(2 ** 24);
  rig.reels.set(cleaner, reel);
  await t.throwsAsync(library.clean(cleaner, 'drive0', limit), { instanceOf: HsmError, code: 'WRONG_VOLUME' });
  t.deepEqual(silo(rig).slots.slice(0, 3), ['S00001L9', 'S00002L9', cleaner]);
  t.deepEqual(reel.objects, []);
  await t.throwsAsync(library.clean('CLN999L1', 'drive0', limit), { instanceOf: HsmError, code: 'NO_VOLUME' });
});

test('a robot that fails on the way back leaves the cartridge in the drive, and the next use of the drive puts it away', async (t) => {
  const { library, rig } = await withCleaner(t);
  const { openDevice } = rig.options;
  rig.trouble.cleaning = 2;
  Object.assign(rig.options, {
    openDevice: (path: string) => {
      if (rig.trouble.cleaning < 0) writeFileSync(`${rig.silo}.fail`, '');
      return openDevice(path);
    },
  });
  await t.throwsAsync(library.clean(cleaner, 'drive0', limit), { instanceOf: HsmError, code: 'EIO' });
  Object.assign(rig.options, { openDevice });
  t.like((await library.inventory()).drives[0], { state: 'ready', barcode: cleaner });
  t.is((await library.load('S00002L9', 'drive0')).barcode, 'S00002L9');
  t.is(silo(rig).slots[2], cleaner);
});

test('while a drive is cleaned readers use the other one; with one drive they wait until it is clean', async (t) => {
  const { library, rig } = await withCleaner(t);
  const pool = await DrivePool.open(library);
  t.teardown(() => pool.close());
  const use = (barcode: string): Promise<string> => pool.withVolume(barcode, 'read', 'interactive', async (_, drive) => drive);
  await pool.withVolume('S00001L9', 'read', 'interactive', async (_, drive) => t.is(drive, 'drive0'));
  rig.trouble.cleaning = 3;
  let open: (() => void) | undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const cleaning = pool.maintain('drive0', 'being cleaned', async () => {
    await gate;
    await library.clean(cleaner, 'drive0', limit);
  });
  // Its volume goes to the other drive, and a second one takes that over.
  t.is(await use('S00001L9'), 'drive1');
  t.is(await use('S00002L9'), 'drive1');
  t.like(pool.states[0], { state: 'busy', reason: 'being cleaned', purpose: null });
  await t.throwsAsync(pool.maintain('drive0', 'again', async () => undefined), { code: 'EBUSY' });
  await t.throwsAsync(pool.maintain('drive7', 'x', async () => undefined), { code: 'NO_DRIVE' });
  await pool.setDrive('drive1', 'down', 'test');
  const waiting = use('S00002L9');
  open?.();
  await cleaning;
  t.is(await waiting, 'drive0');
  t.like(pool.states[0], { reason: null });
});

test('a drive is cleaned when its user is done, before others get it', async (t) => {
  const { library, rig } = await withCleaner(t);
  const pool = await DrivePool.open(library);
  t.teardown(() => pool.close());
  await pool.setDrive('drive1', 'down', 'test');
  const order: string[] = [];
  let release: (() => void) | undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const first = pool.withVolume('S00001L9', 'read', 'interactive', async () => {
    await held;
    order.push('first');
  });
  const second = pool.withVolume('S00001L9', 'read', 'interactive', async () => order.push('second'));
  rig.trouble.cleaning = 2;
  const cleaning = pool.maintain('drive0', 'being cleaned', async () => {
    await library.clean(cleaner, 'drive0', limit);
    order.push('clean');
  });
  release?.();
  await Promise.all([first, second, cleaning]);
  t.deepEqual(order, ['first', 'clean', 'second']);
});
