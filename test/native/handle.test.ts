import { closeSync, constants, linkSync, openSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../src/native/index.ts';
import { filesystemTypes, kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';
import { testing } from '../fixtures/testing.ts';

const rootTest = kernelTest(test);
const cwd = -100;

for (const type of filesystemTypes) {
  rootTest(`${type}: a handle stays with its inode through rename and hard link, and dies with it`, async (t) => {
    const mount = await loopFilesystem(t, type);
    writeFileSync(join(mount, 'a'), 'content');
    const handle = native.fileHandle(cwd, join(mount, 'a'));
    const hash = native.handleHash(handle);
    renameSync(join(mount, 'a'), join(mount, 'b'));
    linkSync(join(mount, 'b'), join(mount, 'c'));
    t.deepEqual(native.fileHandle(cwd, join(mount, 'c')), handle);

    const { treeFd, dirFd } = native.openPrivateMount(mount);
    t.deepEqual(native.fileHandle(dirFd, 'b'), handle);
    const fd = native.openByHandle(dirFd, handle, constants.O_RDONLY);
    t.is(readFileSync(fd, 'utf8'), 'content');
    t.deepEqual(native.fileHandle(fd, ''), handle);
    testing.closeFd(fd);

    unlinkSync(join(mount, 'b'));
    unlinkSync(join(mount, 'c'));
    t.throws(() => native.openByHandle(dirFd, handle, constants.O_RDONLY), { code: 'ESTALE' });
    for (let i = 0; i < 20; i++) {
      writeFileSync(join(mount, `new${i}`), 'another');
      t.not(native.handleHash(native.fileHandle(cwd, join(mount, `new${i}`))), hash);
    }
    for (const each of [treeFd, dirFd]) testing.closeFd(each);
  });
}

test('a handle that cannot be one is refused', (t) => {
  const fd = openSync('/', 'r');
  t.teardown(() => closeSync(fd));
  t.throws(() => native.openByHandle(fd, Buffer.alloc(3), constants.O_RDONLY), { code: 'EINVAL' });
  t.throws(() => native.openByHandle(fd, Buffer.alloc(500), constants.O_RDONLY), { code: 'EINVAL' });
});
