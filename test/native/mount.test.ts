import { constants, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../src/native/index.ts';
import { kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';
import { testing } from '../fixtures/testing.ts';

const rootTest = kernelTest(test);

rootTest('a private mount shows the same files through a mount that no path leads to', async (t) => {
  const mount = await loopFilesystem(t, 'ext4');
  writeFileSync(join(mount, 'file'), 'content');
  const { treeFd, dirFd } = native.openPrivateMount(mount);
  const fd = native.openBeneath(dirFd, Buffer.from('file'), constants.O_RDWR);
  t.is(readFileSync(fd, 'utf8'), 'content');
  t.is(native.statx(fd, '').ino, native.statx(-100, join(mount, 'file')).ino);
  t.not(native.statx(fd, '').mountId, native.statx(-100, join(mount, 'file')).mountId);
  t.false(readFileSync('/proc/self/mountinfo', 'utf8').includes(`\n${native.statx(fd, '').mountId} `));
  for (const each of [fd, treeFd, dirFd]) testing.closeFd(each);
});

test('a path that is missing is an error', (t) => {
  t.throws(() => native.openPrivateMount('/nowhere'), { code: 'ENOENT', message: "ENOENT: No such file or directory, open_tree '/nowhere'" });
});
