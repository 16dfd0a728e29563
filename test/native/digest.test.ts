import { createHash } from 'node:crypto';
import { appendFileSync, closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native, packStatus } from '../../src/native/index.ts';
import { filesystemTypes, kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';
import { inputOf, newPacker, pack } from '../fixtures/pack.ts';
import { seededBytes } from '../fixtures/random.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const onKernel = kernelTest(test);

for (const type of filesystemTypes) {
  onKernel(`the digest of a file on ${type} is the hash that the packer gives it`, async (t) => {
    const root = await loopFilesystem(t, type, 64);
    mkdirSync(join(root, 'd'));
    const paths = ['tiny', 'd/large', 'd/sparse', 'large sparse', 'end'];
    writeFileSync(join(root, 'tiny'), 'x');
    writeFileSync(join(root, 'd/large'), seededBytes(1, 5 * 2 ** 20 + 3));
    for (const [name, size, at] of [['d/sparse', 500_000, 131_072], ['large sparse', 2 ** 33, 2 ** 32], ['end', 3_000_000, 0]] as const) { // prettier-ignore
      const fd = openSync(join(root, name), 'w');
      ftruncateSync(fd, size);
      writeSync(fd, 'data', at);
      closeSync(fd);
    }
    const fd = openSync(root, 'r');
    t.teardown(() => closeSync(fd));
    await native.syncfs(fd);
    const { rows } = await pack(newPacker(t, root), [inputOf(root, paths)]);
    for (const [i, path] of paths.entries()) {
      t.is(rows[i]?.status, packStatus.packed);
      const digest = await native.payloadDigest(fd, Buffer.from(path));
      t.deepEqual(digest?.sha256, rows[i]?.sha256, path);
      t.is(digest?.stat.ctimeNs, rows[i]?.ctimeNs);
      t.is(digest?.stat.size, rows[i]?.size);
    }
  });
}

test('the digest of a file without holes is that of its bytes', async (t) => {
  const root = await temporaryFolder(t);
  const fd = openSync(root, 'r');
  for (const size of [0, 1, 4096, 2 ** 20, 2 ** 20 + 1]) {
    writeFileSync(join(root, 'file'), seededBytes(size, size));
    utimesSync(join(root, 'file'), 1000, 2000);
    const digest = await native.payloadDigest(fd, Buffer.from('file'));
    t.is(statSync(join(root, 'file')).atimeMs, 1_000_000);
    t.is(digest?.sha256.toString('hex'), createHash('sha256').update(readFileSync(join(root, 'file'))).digest('hex')); // prettier-ignore
  }
  closeSync(fd);
});

test('a file that changes meanwhile has no digest', async (t) => {
  const root = await temporaryFolder(t);
  const fd = openSync(root, 'r');
  writeFileSync(join(root, 'file'), Buffer.alloc(2 ** 27, 1));
  // A change may come before the work has begun; it cannot do so every time.
  let seen = false;
  for (let attempt = 0; attempt < 50 && !seen; attempt += 1) {
    const working = native.payloadDigest(fd, Buffer.from('file'));
    await new Promise((resolve) => setTimeout(resolve, attempt));
    appendFileSync(join(root, 'file'), 'x');
    seen = (await working) === null;
  }
  t.true(seen);
  closeSync(fd);
});

test('what is no regular file beneath the folder has no digest but an error', async (t) => {
  const root = await temporaryFolder(t);
  const fd = openSync(root, 'r');
  t.teardown(() => closeSync(fd));
  mkdirSync(join(root, 'folder'));
  writeFileSync(join(root, 'file'), 'x');
  symlinkSync('file', join(root, 'link'));
  const digest = (path: string): Promise<unknown> => native.payloadDigest(fd, Buffer.from(path));
  await t.throwsAsync(digest('missing'), { code: 'ENOENT' });
  await t.throwsAsync(digest('link'), { code: 'ELOOP' });
  await t.throwsAsync(digest('folder'), { code: 'EINVAL' });
  await t.throwsAsync(digest('../etc'), { code: 'EXDEV' });
});
