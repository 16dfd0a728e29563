import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../src/native/index.ts';
import { filesystemTypes, kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';
import { testing, type FanotifyEvent } from '../fixtures/testing.ts';

const rootTest = kernelTest(test);

rootTest('the probe finds what this kernel has', (t) => {
  const [major = 0, minor = 0] = readFileSync('/proc/sys/kernel/osrelease', 'utf8').split('.').map(Number);
  const recent = major > 6 || (major === 6 && minor >= 14);
  t.deepEqual(native.fanotifyProbe(), { preAccess: recent, openPerm: true, fdError: major > 6 || (major === 6 && minor >= 13), pidfd: true });
});

for (const type of filesystemTypes) {
  rootTest(`${type}: an ignore mark silences an inode until it is removed, and removing tells whether there was one`, async (t) => {
    const mount = await loopFilesystem(t, type);
    writeFileSync(join(mount, 'file'), 'content');
    const { treeFd, dirFd } = native.openPrivateMount(mount);
    const fd = native.openBeneath(dirFd, Buffer.from('file'), constants.O_RDWR);
    const group = testing.fanotifyInit();
    testing.fanotifyMark(group, 'private', treeFd);
    testing.fanotifyMark(group, 'filesystem', dirFd);
    try {
      t.false(native.ignoreMark(group, fd, false));
      t.true((await readerEvents(group, join(mount, 'file'))) > 0);
      t.true(native.ignoreMark(group, fd, true));
      t.is(await readerEvents(group, join(mount, 'file')), 0);
      t.true(native.ignoreMark(group, fd, true), 'adding it again is no error');
      t.true(native.ignoreMark(group, fd, false));
      t.false(native.ignoreMark(group, fd, false));
      t.true((await readerEvents(group, join(mount, 'file'))) > 0);
    } finally {
      for (const each of [group, fd, treeFd, dirFd]) testing.closeFd(each);
    }
  });

  rootTest(`${type}: the private mount raises no events, and a denial reaches the reader`, async (t) => {
    const mount = await loopFilesystem(t, type);
    writeFileSync(join(mount, 'file'), 'content');
    const { treeFd, dirFd } = native.openPrivateMount(mount);
    const group = testing.fanotifyInit();
    testing.fanotifyMark(group, 'private', treeFd);
    testing.fanotifyMark(group, 'filesystem', dirFd);
    try {
      const fd = native.openBeneath(dirFd, Buffer.from('file'), constants.O_RDWR);
      t.is(readFileSync(fd, 'utf8'), 'content');
      native.punchHole(fd, 0, 4096);
      t.deepEqual(testing.fanotifyRead(group), []);
      testing.closeFd(fd);
      const reader = spawn('cat', [join(mount, 'file')], { timeout: 20_000, stdio: ['ignore', 'ignore', 'pipe'] });
      let message = '';
      reader.stderr.setEncoding('utf8').on('data', (text: string) => (message += text));
      await serve(group, once(reader, 'close'), (event) => testing.fanotifyRespond(group, event.fd, 28));
      t.regex(message, /No space left/);
    } finally {
      for (const each of [group, treeFd, dirFd]) testing.closeFd(each);
    }
  });
}

rootTest('bad descriptors are errors', (t) => {
  t.throws(() => native.ignoreMark(-1, 0, false), { code: 'EBADF' });
  t.throws(() => native.ignoreMark(0, 0, 'yes' as unknown as boolean), { code: 'ERR_INVALID_ARG_TYPE' });
});

/** Events that a cat of the file raises, all allowed. */
async function readerEvents(group: number, path: string): Promise<number> {
  let events = 0;
  const reader = spawn('cat', [path], { timeout: 20_000, stdio: 'ignore' });
  await serve(group, once(reader, 'close'), (event) => {
    events++;
    testing.fanotifyRespond(group, event.fd, 0);
  });
  return events;
}

async function serve(group: number, end: Promise<unknown>, answer: (event: FanotifyEvent) => void): Promise<void> {
  let ended = false;
  void end.then(() => (ended = true));
  while (!ended) {
    for (const event of testing.fanotifyRead(group)) {
      answer(event);
      testing.closeFd(event.fd);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
