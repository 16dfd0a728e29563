import { appendFileSync, constants, readFileSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { BufferedTapFile } from '../../src/media/buffered-tap-file.ts';
import { type DirectHandle, directUnit, DirectTapFile } from '../../src/media/direct-tap-file.ts';
import { openTapFile, type TapFile } from '../../src/media/tap-file.ts';
import { filesystemTypes, kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';
import { seededBytes, seededRandom } from '../fixtures/random.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const KiB = 1024;
const MiB = 2 ** 20;

type Open = (path: string) => Promise<TapFile>;

const openBuffered: Open = async (path) => new BufferedTapFile(await open(path, 'r+'));

const openDirect: Open = async (path) => new DirectTapFile(await openBuffered(path), await openUnbuffered(path));

const openUnbuffered = (path: string): Promise<DirectHandle> => open(path, constants.O_RDWR | constants.O_DIRECT);

function emptyFile(folder: string): string {
  const path = join(folder, 'x.tap');
  writeFileSync(path, '');
  return path;
}

/** Writes, reads, cuts and syncs at random, with the file's bytes in memory as the model. */
async function useAtRandom(t: ExecutionContext, path: string, openFile: Open): Promise<void> {
  const seed = Number(process.env['HSM_TEST_SEED'] ?? Date.now() % 2 ** 31);
  t.log(`HSM_TEST_SEED=${seed}`);
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const sizes = [1, 4, 5, 700, directUnit - 4, directUnit, directUnit + 8, 70_001, MiB, MiB + 9, 3 * MiB];
  let model = readFileSync(path);
  let file = await openFile(path);
  for (let step = 0; step < 120; step += 1) {
    const choice = random();
    if (choice < 0.45) {
      // Mostly at the end, as a tape does; sometimes over what is there, and sometimes behind the end.
      const at = random() < 0.8 ? model.length : below(model.length + 10_000);
      const parts = Array.from({ length: 1 + below(3) }, () => seededBytes(step, sizes[below(sizes.length)] ?? 1));
      const data = Buffer.concat(parts);
      await file.write(parts, at);
      const grown = Buffer.alloc(Math.max(model.length, at + data.length));
      model.copy(grown);
      data.copy(grown, at);
      model = grown;
    } else if (choice < 0.75) {
      const at = below(model.length + 100);
      const parts = Array.from({ length: 1 + below(3) }, () => Buffer.alloc(sizes[below(sizes.length)] ?? 1));
      const wanted = model.subarray(at, at + parts.reduce((sum, { length }) => sum + length, 0));
      t.is(await file.read(parts, at), wanted.length);
      t.true(Buffer.concat(parts).subarray(0, wanted.length).equals(wanted), `read at ${at}`);
    } else if (choice < 0.83) {
      const size = below(model.length + 1);
      await file.truncate(size);
      model = Buffer.from(model.subarray(0, size));
    } else if (choice < 0.9) {
      t.is(await file.size(), model.length);
    } else if (choice < 0.97) {
      await file.sync();
      t.true(readFileSync(path).equals(model), 'after a sync everybody reads the same');
    } else {
      await file.close();
      file = await openFile(path);
    }
    if (model.length > 24 * MiB) {
      await file.truncate(5);
      model = Buffer.from(model.subarray(0, 5));
    }
  }
  await file.close();
  t.true(readFileSync(path).equals(model));
}

test('a buffered file is like its bytes, whatever is done to it', async (t) => useAtRandom(t, emptyFile(await temporaryFolder(t)), openBuffered));

for (const type of filesystemTypes) {
  kernelTest(test)(`a direct file on ${type} is like its bytes, whatever is done to it`, async (t) => {
    await useAtRandom(t, emptyFile(await loopFilesystem(t, type, 256)), openDirect);
  });
}

for (const type of ['ext4', 'xfs'] as const) {
  kernelTest(test)(`a .tap on ${type} is opened past the page cache`, async (t) => {
    const file = await openTapFile(emptyFile(await loopFilesystem(t, type)), 'write');
    t.true(file instanceof DirectTapFile);
    await file.close();
  });
}

test('where there is no way past the page cache, a .tap is opened through it', async (t) => {
  // procfs has no O_DIRECT.
  const file = await openTapFile('/proc/self/status', 'read');
  t.true(file instanceof BufferedTapFile);
  await file.close();
});

test('a .tap that is opened to be read cannot be written', async (t) => {
  const path = emptyFile(await temporaryFolder(t));
  const file = await openTapFile(path, 'read');
  await t.throwsAsync(file.write([Buffer.alloc(2 * MiB)], 0), { code: 'EBADF' });
  await file.close();
  t.is(statSync(path).size, 0);
});

test('a .tap that is not there says so', async (t) => {
  await t.throwsAsync(openTapFile(join(await temporaryFolder(t), 'none.tap'), 'write'), { code: 'ENOENT' });
});

/** An O_DIRECT descriptor whose `n`-th write fails after a half of it, or whose transfers are short. */
async function faulty(path: string, plan: { failWrite?: number; shortWrites?: boolean; shortReads?: boolean }): Promise<DirectHandle> {
  const handle = await open(path, constants.O_RDWR | constants.O_DIRECT);
  let writes = 0;
  const halfOf = (length: number): number => Math.max(directUnit, Math.floor(length / 2 / directUnit) * directUnit);
  const write = async (units: Buffer, from: number, length: number, offset: number): Promise<unknown> => {
    writes += 1;
    if (writes === plan.failWrite) {
      await handle.write(units, from, halfOf(length), offset);
      throw Object.assign(new Error('by plan'), { code: 'EIO' });
    }
    return handle.write(units, from, plan.shortWrites === true ? halfOf(length) : length, offset);
  };
  const read = (units: Buffer, from: number, length: number, offset: number): Promise<unknown> =>
    handle.read(units, from, plan.shortReads === true ? halfOf(length) : length, offset);
  return { write, read, close: () => handle.close() } as DirectHandle;
}

const pieces = [4, MiB, 5, 777, 3 * MiB + 1, 8, 60 * KiB, 12].map((length, i) => seededBytes(i, length));

for (let n = 1; n <= 5; n += 1) {
  test(`when direct write ${n} fails half-way, what was written before it is there, and it can be written again`, async (t) => {
    const path = emptyFile(await temporaryFolder(t));
    const file = new DirectTapFile(await openBuffered(path), await faulty(path, { failWrite: n }));
    let failures = 0;
    let written = Buffer.alloc(0);
    for (const piece of pieces) {
      try {
        await file.write([piece], written.length);
      } catch (error) {
        failures += 1;
        t.is((error as NodeJS.ErrnoException).code, 'EIO');
        await file.truncate(written.length);
        t.true(readFileSync(path).equals(written), 'nothing before the write that failed is lost');
        await file.write([piece], written.length);
      }
      written = Buffer.concat([written, piece]);
    }
    await file.sync();
    t.true(readFileSync(path).equals(written));
    t.is(failures, 1);
    await file.close();
  });
}

test('short transfers go on where they stopped', async (t) => {
  const path = emptyFile(await temporaryFolder(t));
  const file = new DirectTapFile(await openBuffered(path), await faulty(path, { shortReads: true, shortWrites: true }));
  const all = Buffer.concat(pieces);
  await file.write(pieces, 0);
  await file.sync();
  t.true(readFileSync(path).equals(all));
  const into = Buffer.alloc(all.length + 100);
  t.is(await file.read([into.subarray(0, 3), into.subarray(3)], 0), all.length);
  t.true(into.subarray(0, all.length).equals(all));
  await file.close();
});

test('a write that makes no progress fails', async (t) => {
  const path = emptyFile(await temporaryFolder(t));
  const stuck = { ...(await faulty(path, {})), write: async () => ({ bytesWritten: 0 }) } as unknown as DirectHandle;
  const file = new DirectTapFile(await openBuffered(path), stuck);
  await t.throwsAsync(file.write([Buffer.alloc(MiB)], 0), { code: 'ENOSPC' });
  await file.close();
});

test('the file never has a byte that was not written, and all that was once it is synced', async (t) => {
  const path = emptyFile(await temporaryFolder(t));
  const file = await openDirect(path);
  let written = Buffer.alloc(0);
  for (const piece of pieces) {
    await file.write([piece], written.length);
    written = Buffer.concat([written, piece]);
    const found = readFileSync(path);
    t.true(found.equals(written.subarray(0, found.length)));
    t.true(found.length > written.length - directUnit, 'only the last unit waits');
  }
  await file.sync();
  t.true(readFileSync(path).equals(written));
  await file.close();
});

test('a tail that cannot be written is not forgotten', async (t) => {
  const path = emptyFile(await temporaryFolder(t));
  const buffered = await openBuffered(path);
  let isBroken = true;
  const failing: TapFile = {
    size: () => buffered.size(),
    read: (buffers, offset) => buffered.read(buffers, offset),
    write: (buffers, offset) => (isBroken ? Promise.reject(Object.assign(new Error('by plan'), { code: 'EIO' })) : buffered.write(buffers, offset)),
    truncate: (size) => buffered.truncate(size),
    sync: () => buffered.sync(),
    close: () => buffered.close(),
  };
  const file = new DirectTapFile(failing, await openUnbuffered(path));
  const data = seededBytes(1, directUnit + 10);
  await file.write([data], 0);
  for (const use of [() => file.sync(), () => file.size(), () => file.truncate(3), () => file.read([Buffer.alloc(1)], 0)]) await t.throwsAsync(use(), { code: 'EIO' });
  isBroken = false;
  await file.sync();
  t.true(readFileSync(path).equals(data));
  await file.close();
});

test('bytes that another program appended are seen', async (t) => {
  const path = emptyFile(await temporaryFolder(t));
  const file = await openDirect(path);
  const data = seededBytes(2, 2 * MiB + 10);
  await file.write([data.subarray(0, MiB + 10)], 0);
  await file.sync();
  appendFileSync(path, data.subarray(MiB + 10));
  const into = Buffer.alloc(data.length);
  t.is(await file.read([into], 0), data.length);
  t.true(into.equals(data));
  await file.close();
});
