import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../src/native/index.ts';
import { filesystemTypes, kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const rootTest = kernelTest(test);

for (const type of filesystemTypes) {
  rootTest(`${type}: a punched range reads as zeros and frees its blocks; the size stays`, async (t) => {
    const mount = await loopFilesystem(t, type);
    const fd = openSync(join(mount, 'file'), 'w+');
    writeFileSync(fd, Buffer.alloc(64 * 1024, 7));
    await native.syncfs(fd);
    native.punchHole(fd, 4096, 8192);
    const content = readFileSync(join(mount, 'file'));
    t.is(content.length, 64 * 1024);
    t.true(content.subarray(4096, 12288).every((byte) => byte === 0));
    t.true(content.subarray(0, 4096).every((byte) => byte === 7));
    t.is(fstatSync(fd).blocks, (64 - 8) * 2);
    closeSync(fd);
  });
}

test('setTimes sets nanoseconds, also before 1970', async (t) => {
  const fd = openSync(join(await temporaryFolder(t), 'file'), 'w+');
  native.setTimes(fd, -1n, 1_234_567_890_123_456_789n);
  const { atimeNs, mtimeNs } = native.statx(fd, '');
  t.is(atimeNs, -1n);
  t.is(mtimeNs, 1_234_567_890_123_456_789n);
  closeSync(fd);
});

test('syncfs outlives the descriptor it was given', async (t) => {
  const fd = openSync(join(await temporaryFolder(t), 'file'), 'w+');
  const synced = native.syncfs(fd);
  closeSync(fd);
  await t.notThrowsAsync(synced);
});

test('bad arguments and bad descriptors are errors', (t) => {
  t.throws(() => native.syncfs(-1), { code: 'EBADF' });
  t.throws(() => native.punchHole(-1, 0, 4096), { code: 'EBADF' });
  t.throws(() => native.punchHole(0, 0.5, 4096), { code: 'ERR_INVALID_ARG_TYPE' });
  t.throws(() => native.setTimes(0, 5 as unknown as bigint, 5n), { code: 'ERR_INVALID_ARG_TYPE' });
  t.throws(() => native.setTimes(0, 2n ** 64n, 5n), { code: 'ERR_INVALID_ARG_TYPE' });
});
