import { execFile } from 'node:child_process';
import { constants, fsyncSync, mkdirSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { evictStatus, native, type EvictItem } from '../../src/native/index.ts';
import { stubXattr } from '../../src/stub.ts';
import { pageOf, pageSize, pagesPerFile, type Hammered } from '../fixtures/hammer.ts';
import { filesystemTypes, kernelTest, loopFilesystem, type FilesystemType } from '../fixtures/loopfs.ts';
import { testing, type FanotifyEvent } from '../fixtures/testing.ts';

const rootTest = kernelTest(test);
const run = promisify(execFile);
const files = 8;
const writers = 3;
const rounds = 300;
const size = pageSize * pagesPerFile;

for (const type of filesystemTypes) {
  rootTest(`${type}: readers and writers that run while their files are evicted and recalled never see a wrong byte`, async (t) => {
    const { evicted, recalled, hammered } = await race(t, type);
    t.log(`${evicted} evicted, ${recalled} recalled, ${hammered.map(({ reads, writes }) => `${reads} reads ${writes} writes`).join(', ')}`);
    for (const { zeros, torn, lost, errors } of hammered) t.deepEqual({ zeros, torn, lost, errors }, { zeros: 0, torn: 0, lost: 0, errors: [] });
    t.true(evicted > 20 && recalled > 20, 'nothing was tried');
  });
}

/** This process is both keeper and archiver; the "tape" is a map in memory. All its own accesses go through the private mount. */
async function race(t: ExecutionContext, type: FilesystemType): Promise<{ evicted: number; recalled: number; hammered: Hammered[] }> {
  const mount = await loopFilesystem(t, type);
  mkdirSync(join(mount, 'd'));
  const content = Buffer.concat(Array.from({ length: pagesPerFile }, (_, page) => pageOf(page, 0)));
  for (let i = 0; i < files; i++) writeFileSync(join(mount, `d/f${i}`), content);
  const { treeFd, dirFd } = native.openPrivateMount(mount);
  await native.syncfs(dirFd);
  const group = testing.fanotifyInit();
  testing.fanotifyMark(group, 'private', treeFd);
  testing.fanotifyMark(group, 'filesystem', dirFd);
  const tape = new Map<number, Buffer>();
  let evicted = 0;
  let recalled = 0;
  let ended = false;

  const answer = (event: FanotifyEvent): void => {
    if (native.getxattr(event.fd, stubXattr) !== null) {
      const { ino, atimeNs, mtimeNs } = native.statx(event.fd, '');
      const copy = tape.get(ino);
      if (copy === undefined) throw new Error(`nothing on tape for inode ${ino}`);
      writeSync(event.fd, copy, 0, copy.length, 0);
      native.setTimes(event.fd, atimeNs, mtimeNs);
      native.removexattr(event.fd, stubXattr);
      recalled++;
    }
    native.ignoreMark(group, event.fd, true);
    testing.fanotifyRespond(group, event.fd, 0);
    testing.closeFd(event.fd);
  };
  const keeper = async (): Promise<void> => {
    while (!ended) {
      testing.fanotifyRead(group).forEach(answer);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const archiver = async (): Promise<void> => {
    while (!ended) {
      const copies = Array.from({ length: files }, (_, i) => copyOf(dirFd, `d/f${i}`)).filter((copy) => copy !== null);
      for (const { item, content } of copies) tape.set(item.ino, content);
      const { status } = await native.evict({ groupFd: group, mountFd: dirFd }, copies.map((copy) => copy.item));
      evicted += status.filter((each) => each === evictStatus.released).length;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  try {
    const script = join(import.meta.dirname, '../fixtures/hammer.ts');
    const users = Array.from({ length: writers }, (_, writer) =>
      run(process.execPath, [script, join(mount, 'd'), ...[files, rounds, writer, writers].map(String)], { timeout: 120_000 }),
    );
    const all = Promise.all(users).finally(() => (ended = true));
    const [done] = await Promise.all([all, keeper(), archiver()]);
    return { evicted, recalled, hammered: done.map(({ stdout }) => JSON.parse(stdout) as Hammered) };
  } finally {
    ended = true;
    for (const fd of [group, treeFd, dirFd]) testing.closeFd(fd);
  }
}

/** Copies as the packer does: clean pages first, then the same size and times before and after; null for a stub or a file that changed. */
function copyOf(dirFd: number, name: string): { item: EvictItem; content: Buffer } | null {
  const fd = native.openBeneath(dirFd, Buffer.from(name), constants.O_RDWR | constants.O_NOATIME);
  try {
    if (native.getxattr(fd, stubXattr) !== null) return null;
    fsyncSync(fd);
    const before = native.statx(fd, '');
    const content = Buffer.alloc(size);
    readSync(fd, content, 0, size, 0);
    const after = native.statx(fd, '');
    if (after.mtimeNs !== before.mtimeNs || after.ctimeNs !== before.ctimeNs || native.getxattr(fd, stubXattr) !== null) return null;
    const { ino, mtimeNs, ctimeNs } = before;
    const handleHash = native.handleHash(native.fileHandle(fd, ''));
    return { item: { path: Buffer.from(name), ino, size, mtimeNs, ctimeNs, handleHash, record: Buffer.alloc(64, 1) }, content };
  } finally {
    testing.closeFd(fd);
  }
}
