import { execFile } from 'node:child_process';
import { appendFile, copyFile, open, readFile, rename, rm, stat, truncate } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { HsmError } from '../../src/errors.ts';
import { readCartridgeRecord } from '../../src/media/cartridge-record.ts';
import type { CartridgeFiles } from '../../src/media/cartridge-record.ts';
import type { Medium } from '../../src/media/medium.ts';
import { loadVirtualCartridge } from '../../src/media/virtual-cartridge.ts';
import { newCartridge } from '../fixtures/cartridge.ts';
import { FaultyTaps } from '../fixtures/faulty-tap.ts';
import type { TapOperation } from '../fixtures/faulty-tap.ts';
import { seededBytes } from '../fixtures/random.ts';

const KiB = 1024;
const MiB = 2 ** 20;

const block = (container: number, number: number): Buffer => seededBytes(100 * container + number, 3001 + number);

/** Five objects: four blocks and a synchronous filemark. */
async function writeContainer(medium: Medium, container: number): Promise<void> {
  for (let number = 0; number < 4; number += 1) await medium.writeBlock(block(container, number));
  await medium.writeFilemark({ sync: true });
}

async function expectContainer(t: ExecutionContext, medium: Medium, container: number, at: number): Promise<void> {
  await medium.locate(at);
  for (let number = 0; number < 4; number += 1) {
    const found = await medium.readBlock(Buffer.alloc(8 * KiB));
    t.true(Buffer.isBuffer(found) && found.equals(block(container, number)), `block ${number} of container ${container}`);
  }
  t.is(await medium.readBlock(Buffer.alloc(8 * KiB)), 'filemark');
}

async function flipByte(path: string, offset: number): Promise<void> {
  const handle = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, offset);
  await handle.write(Buffer.from([byte[0]! ^ 0xff]), 0, 1, offset);
  await handle.close();
}

const nthFails = test.macro({
  exec: async (t, operation: TapOperation, code: string, forever: boolean) => {
    for (let n = 1; ; n += 1) {
      const files = await newCartridge(t, MiB);
      const taps = new FaultyTaps(operation, n, code, forever);
      const confirmed = await session(t, files, taps);
      await expectConfirmed(t, files, confirmed);
      if (!taps.met) {
        t.is(confirmed, 4);
        t.true(n > 1, 'at least one fault was met');
        return;
      }
    }
  },
  title: (_, operation: TapOperation, code: string, forever: boolean) =>
    `when ${forever ? 'every' : 'the'} n-th ${operation} of the disk fails with ${code}, no confirmed container is lost and none is confirmed that is not there`,
});

for (const forever of [false, true]) {
  for (const operation of ['write', 'sync', 'truncate', 'size'] as const) test(nthFails, operation, 'EIO', forever);
  test(nthFails, 'write', 'ENOSPC', forever);
}

/** Writes containers, with a start that is thrown away in between, until done or until something fails; resolves with how many were confirmed. */
async function session(t: ExecutionContext, files: CartridgeFiles, taps: FaultyTaps): Promise<number> {
  let confirmed = 0;
  const medium = await loadVirtualCartridge(files, { openFile: taps.open }).catch(() => null);
  if (medium === null) return 0;
  try {
    for (; confirmed < 4; confirmed += 1) {
      await medium.writeBlock(Buffer.alloc(777));
      await medium.writeBlock(Buffer.alloc(778));
      await medium.locate(5 * confirmed);
      await writeContainer(medium, confirmed);
    }
  } catch (error) {
    t.true(error instanceof HsmError && ['EIO', 'LIBRARY_FULL'].includes(error.code));
    t.true(Number.isInteger(await medium.position()));
  }
  await medium.unload().catch((error: unknown) => t.true(error instanceof HsmError));
  return confirmed;
}

async function expectConfirmed(t: ExecutionContext, files: CartridgeFiles, confirmed: number): Promise<void> {
  const medium = await loadVirtualCartridge(files);
  for (let container = 0; container < confirmed; container += 1) await expectContainer(t, medium, container, 5 * container);
  await medium.locate(5 * confirmed);
  await writeContainer(medium, 50);
  await medium.unload();
  const again = await loadVirtualCartridge(files);
  await expectContainer(t, again, 50, 5 * confirmed);
  t.is(await again.locateEnd(), 5 * confirmed + 5);
  await again.unload();
}

test('after a failed write the volume goes on where it was', async (t) => {
  const files = await newCartridge(t, MiB);
  const medium = await loadVirtualCartridge(files, { openFile: new FaultyTaps('write', 7).open });
  await writeContainer(medium, 0);
  await medium.writeBlock(block(1, 0));
  await t.throwsAsync(medium.writeBlock(block(1, 1)), { instanceOf: HsmError, code: 'EIO' });
  t.is(await medium.position(), 6);
  t.is((await stat(files.tap)).size, (await medium.capacity()).used, 'no half block is left');
  for (const number of [1, 2, 3]) await medium.writeBlock(block(1, number));
  await medium.writeFilemark({ sync: true });
  await expectContainer(t, medium, 1, 5);
  await medium.unload();
});

test('a full disk is not a full tape', async (t) => {
  const files = await newCartridge(t, MiB);
  const medium = await loadVirtualCartridge(files, { openFile: new FaultyTaps('write', 1, 'ENOSPC').open });
  const error = await t.throwsAsync<HsmError>(medium.writeBlock(block(0, 0)), { instanceOf: HsmError, code: 'LIBRARY_FULL' });
  t.is(error.retry, 'later');
  await medium.unload();
});

test('after a failed flush nothing more is written until the volume is loaded again, and what was not confirmed is gone', async (t) => {
  const files = await newCartridge(t, MiB);
  const medium = await loadVirtualCartridge(files, { openFile: new FaultyTaps('sync', 2).open });
  await writeContainer(medium, 0);
  await t.throwsAsync(writeContainer(medium, 1), { instanceOf: HsmError, code: 'EIO' });
  await t.throwsAsync(medium.writeBlock(block(1, 0)), { instanceOf: HsmError, code: 'EIO' });
  await t.throwsAsync(medium.writeFilemark({ sync: true }), { instanceOf: HsmError, code: 'EIO' }, 'a second try proves nothing');
  await expectContainer(t, medium, 0, 0);
  await t.throwsAsync(medium.unload(), { instanceOf: HsmError, code: 'EIO' });
  const again = await loadVirtualCartridge(files);
  t.is(await again.locateEnd(), 5);
  await writeContainer(again, 1);
  await expectContainer(t, again, 1, 5);
  await again.unload();
});

test('a write-back that fails in the background fails the next filemark', async (t) => {
  const files = await newCartridge(t, 256 * MiB);
  const medium = await loadVirtualCartridge(files, { openFile: new FaultyTaps('sync', 1).open });
  const big = Buffer.alloc(8 * MiB, 1);
  const error = await t.throwsAsync(
    (async () => {
      for (let number = 0; number < 20; number += 1) await medium.writeBlock(big);
      await medium.writeFilemark({ sync: true });
    })(),
    { instanceOf: HsmError, code: 'EIO' },
  );
  t.truthy(error.cause);
  await t.throwsAsync(medium.unload(), { instanceOf: HsmError, code: 'EIO' });
  const again = await loadVirtualCartridge(files);
  t.is(await again.locateEnd(), 0);
  await again.unload();
});

test('a read error of the disk is EIO, passes the block, and is over when the disk has recovered', async (t) => {
  const files = await newCartridge(t, MiB);
  const writer = await loadVirtualCartridge(files);
  await writeContainer(writer, 0);
  await writer.unload();
  for (let n = 1; ; n += 1) {
    const taps = new FaultyTaps('read', n);
    const medium = await loadVirtualCartridge(files, { openFile: taps.open }).catch((error: unknown) => {
      t.true(error instanceof HsmError && error.code === 'EIO' && error.retry === 'other-copy');
      return null;
    });
    if (medium === null) continue;
    let failures = 0;
    for (let address = 0; address < 5; address += 1) {
      await medium.locate(address);
      const found = await medium.readBlock(Buffer.alloc(8 * KiB)).catch((error: unknown) => error);
      if (found instanceof HsmError) {
        t.is(found.code, 'EIO');
        failures += 1;
      }
    }
    t.is(failures, taps.met ? 1 : 0);
    const { met } = taps;
    if (met) await expectContainer(t, medium, 0, 0);
    await medium.unload();
    if (!met) return;
  }
});

test('a .tap that lost what was durable says EIO there, not end of data, until it is overwritten', async (t) => {
  const files = await newCartridge(t, MiB);
  const writer = await loadVirtualCartridge(files);
  await writeContainer(writer, 0);
  await writeContainer(writer, 1);
  await writer.unload();
  await truncate(files.tap, (await stat(files.tap)).size - 5000);
  for (const index of ['kept', 'gone']) {
    if (index === 'gone') await rm(files.index, { force: true });
    const medium = await loadVirtualCartridge(files);
    await expectContainer(t, medium, 0, 0);
    await t.throwsAsync(medium.locateEnd(), { instanceOf: HsmError, code: 'EIO' });
    await t.throwsAsync(medium.locate(9), { instanceOf: HsmError, code: 'EIO' });
    await medium.locate(6);
    t.deepEqual(await medium.readBlock(Buffer.alloc(8 * KiB)), block(1, 1));
    const error = await t.throwsAsync<HsmError>(medium.readBlock(Buffer.alloc(8 * KiB)), { instanceOf: HsmError, code: 'EIO' });
    t.is(error.retry, 'other-copy');
    await medium.unload();
  }
  const medium = await loadVirtualCartridge(files);
  await medium.locate(5);
  await writeContainer(medium, 2);
  await expectContainer(t, medium, 2, 5);
  t.is(await medium.locateEnd(), 10);
  await medium.unload();
  const again = await loadVirtualCartridge(files);
  t.is(await again.locateEnd(), 10);
  await again.unload();
});

test('a damaged marker costs its block only, and with the index lost what lies behind it is EIO', async (t) => {
  const files = await newCartridge(t, MiB);
  const writer = await loadVirtualCartridge(files);
  for (const container of [0, 1, 2]) await writeContainer(writer, container);
  await writer.unload();
  await flipByte(files.tap, 2);
  const medium = await loadVirtualCartridge(files);
  await t.throwsAsync(medium.readBlock(Buffer.alloc(8 * KiB)), { instanceOf: HsmError, code: 'EIO' });
  t.is(await medium.position(), 1);
  t.deepEqual(await medium.readBlock(Buffer.alloc(8 * KiB)), block(0, 1));
  await expectContainer(t, medium, 2, 10);
  await medium.unload();
  await rm(files.index);
  const blind = await loadVirtualCartridge(files);
  await t.throwsAsync(blind.readBlock(Buffer.alloc(8 * KiB)), { instanceOf: HsmError, code: 'EIO' });
  await t.throwsAsync(blind.locate(10), { instanceOf: HsmError, code: 'EIO' });
  await blind.unload();
});

test('without its index a cartridge is scanned once, and has its index back', async (t) => {
  const files = await newCartridge(t, MiB);
  const writer = await loadVirtualCartridge(files);
  for (const container of [0, 1, 2]) await writeContainer(writer, container);
  await writer.unload();
  await rename(files.index, `${files.index}.old`);
  const medium = await loadVirtualCartridge(files);
  await expectContainer(t, medium, 2, 10);
  await medium.writeFilemark({ sync: true });
  await medium.unload();
  t.true((await stat(files.index)).size > 0);
  const again = await loadVirtualCartridge(files);
  t.is(await again.locateEnd(), 16);
  await again.unload();
});

test('what a crash tore off is not behind what is appended later', async (t) => {
  const files = await newCartridge(t, MiB);
  const torn = Buffer.alloc(3000);
  torn.writeUInt32LE(5000);
  await appendFile(files.tap, torn);
  const medium = await loadVirtualCartridge(files);
  t.is(await medium.locateEnd(), 0);
  await writeContainer(medium, 0);
  t.is((await stat(files.tap)).size, (await medium.capacity()).used);
  await medium.rewind();
  await appendFile(files.tap, torn);
  await medium.abandon();
  const second = await loadVirtualCartridge(files);
  await second.locateEnd();
  await second.writeBlock(Buffer.from('short'));
  await second.abandon();
  const third = await loadVirtualCartridge(files);
  t.is(await third.locateEnd(), 6);
  await third.unload();
});

test('an index from before an overwrite is never believed', async (t) => {
  const files = await newCartridge(t, MiB);
  const writer = await loadVirtualCartridge(files);
  for (const container of [0, 1]) await writeContainer(writer, container);
  await writer.rewind();
  await writer.writeBlock(block(7, 0));
  t.false(await exists(files.index), 'it was removed before the tape was truncated');
  await writer.abandon();
  const medium = await loadVirtualCartridge(files);
  t.deepEqual(await medium.readBlock(Buffer.alloc(8 * KiB)), block(7, 0));
  t.is(await medium.readBlock(Buffer.alloc(8 * KiB)), 'end');
  await medium.unload();
});

test('a cartridge without one of its files is EIO, for another copy', async (t) => {
  for (const file of ['tap', 'record'] as const) {
    const files = await newCartridge(t, MiB);
    await rm(files[file]);
    const error = await t.throwsAsync<HsmError>(loadVirtualCartridge(files), { instanceOf: HsmError, code: 'EIO' });
    t.is(error.retry, 'other-copy');
  }
});

test('wear is counted over loads, and capacity is what the .tap takes', async (t) => {
  const files = await newCartridge(t, MiB);
  const first = await loadVirtualCartridge(files);
  await writeContainer(first, 0);
  const { used } = await first.capacity();
  t.is(used, (await stat(files.tap)).size);
  await first.unload();
  const second = await loadVirtualCartridge(files);
  await expectContainer(t, second, 0, 0);
  await second.unload();
  const bytes = [0, 1, 2, 3].reduce((sum, number) => sum + block(0, number).length, 0);
  const record = await readCartridgeRecord(files.record);
  t.like(record, { loads: 2, bytesWritten: bytes, bytesRead: bytes, end: used });
  t.is(typeof record.lastLoaded, 'string');
});

test('a .tap is read by what knows SIMH alone', async (t) => {
  const files = await newCartridge(t, MiB);
  const medium = await loadVirtualCartridge(files);
  await medium.writeBlock(Buffer.from('odd'));
  await medium.writeFilemark({ sync: false });
  await medium.writeBlock(Buffer.from('even'));
  await medium.unload();
  t.is((await readFile(files.tap)).toString('hex'), '030000006f646400030000000000000004000000' + Buffer.from('even').toString('hex') + '04000000');
});

test('killed at any moment, a writer finds all that was confirmed to it', async (t) => {
  const files = await newCartridge(t, 64 * MiB);
  const program = fileURLToPath(new URL('../fixtures/container-writer.ts', import.meta.url));
  let confirmed = 0;
  for (const lifetime of [40, 90, 170]) {
    const child = execFile(process.execPath, [program, files.tap.replace(/\/[^/]*$/, ''), 'V00001L9', String(confirmed)], { timeout: 30_000 });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const before = confirmed;
    let rest = '';
    child.stdout?.on('data', (text: string) => {
      rest += text;
      confirmed = before + (rest.match(/confirmed/g)?.length ?? 0);
    });
    while (confirmed === before && child.exitCode === null) await delay(5);
    await delay(lifetime);
    child.kill('SIGKILL');
    await ended;
    t.true(confirmed > before, 'it wrote something');
    const medium = await loadVirtualCartridge(files);
    for (let container = 0; container < confirmed; container += 1) await expectContainer(t, medium, container, 5 * container);
    await medium.unload();
    await copyFile(files.tap, `${files.tap}.copy`);
  }
});

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
