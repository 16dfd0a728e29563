import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, copyFileSync, linkSync, lstatSync, mkdirSync, openSync, renameSync, symlinkSync, truncateSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { evictStatus, native, type EvictItem, type EvictResult } from '../../src/native/index.ts';
import { stubXattr } from '../../src/stub.ts';
import { filesystemTypes, kernelTest, loopFilesystem, type FilesystemType } from '../fixtures/loopfs.ts';
import { testing } from '../fixtures/testing.ts';

const rootTest = kernelTest(test);
const record = Buffer.from(Array.from({ length: 64 }, (_, i) => i));

interface Bench {
  readonly mount: string;
  readonly dirFd: number;
  readonly treeFd: number;
}

async function bench(t: ExecutionContext, type: FilesystemType = 'ext4'): Promise<Bench> {
  const mount = await loopFilesystem(t, type);
  const { treeFd, dirFd } = native.openPrivateMount(mount);
  t.teardown(() => [treeFd, dirFd].forEach((fd) => testing.closeFd(fd)));
  return { mount, treeFd, dirFd };
}

/** What the archiver knows about a file after it copied it. */
function itemOf({ dirFd }: Bench, name: string | Buffer): EvictItem {
  const path = Buffer.from(name);
  const { ino, size, mtimeNs, ctimeNs } = native.statx(dirFd, path);
  return { path, ino, size, mtimeNs, ctimeNs, handleHash: native.handleHash(native.fileHandle(dirFd, path)), record };
}

const evict = (on: Bench, items: readonly EvictItem[], groupFd = -1): Promise<EvictResult> => native.evict({ groupFd, mountFd: on.dirFd }, items);

/**
 * Evicts files that nobody has open any more. Where another test of this process starts a program, that holds all of the process's
 * descriptors from its fork to its exec; what is open for that reason is tried again.
 */
async function evictClosed(on: Bench, items: readonly EvictItem[], groupFd = -1): Promise<EvictResult> {
  const result = await evict(on, items, groupFd);
  for (let attempt = 0; attempt < 200 && result.status.includes(evictStatus.open); attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const rows = items.map((_, row) => row).filter((row) => result.status[row] === evictStatus.open);
    const again = await evict(on, items.filter((_, row) => rows.includes(row)), groupFd);
    again.status.forEach((status, i) => (result.status[rows[i] ?? 0] = status));
    again.ctimeNs.forEach((ctimeNs, i) => (result.ctimeNs[rows[i] ?? 0] = ctimeNs));
    Object.assign(result, { freed: result.freed + again.freed });
  }
  return result;
}

function assertUntouched(t: ExecutionContext, on: Bench, item: EvictItem): void {
  const now = native.statx(on.dirFd, item.path);
  t.is(now.ctimeNs, item.ctimeNs);
  t.is(native.getxattr(Buffer.concat([Buffer.from(`${on.mount}/`), item.path]), stubXattr), null);
  t.true(now.blocks > 0);
}

for (const type of filesystemTypes) {
  rootTest(`${type}: an evicted file keeps size and times, carries its record, has no block, and frees what it says`, async (t) => {
    const on = await bench(t, type);
    mkdirSync(join(on.mount, 'a/b'), { recursive: true });
    const sizes = [1, 100, 4095, 4096, 4097, 65536, 1_000_000, 5 * 2 ** 20];
    const names = sizes.map((size, i) => `${i % 2 === 0 ? '' : 'a/b/'}size-${size}`);
    for (const [i, name] of names.entries()) {
      writeFileSync(join(on.mount, name), Buffer.alloc(sizes[i] ?? 0, 7));
      utimesSync(join(on.mount, name), 1_000_000_000.5, 1_100_000_000.25);
    }
    await native.syncfs(on.dirFd);
    const items = names.map((name) => itemOf(on, name));
    const before = items.map((item) => native.statx(on.dirFd, item.path));
    const { status, ctimeNs, freed } = await evictClosed(on, items);

    t.deepEqual([...status], names.map(() => evictStatus.released));
    t.is(freed, before.reduce((sum, stat) => sum + stat.blocks * 512, 0));
    for (const [i, item] of items.entries()) {
      const after = native.statx(on.dirFd, item.path);
      const { size, mtimeNs, atimeNs, mode, uid, gid, nlink, ino } = before[i] ?? t.fail();
      t.like(after, { size, mtimeNs, atimeNs, mode, uid, gid, nlink, ino, blocks: 0 }, names[i]);
      t.is(after.ctimeNs, ctimeNs[i] as bigint);
      t.deepEqual(native.getxattr(join(on.mount, names[i] ?? ''), stubXattr), record);
    }
  });

  rootTest(`${type}: a sparse file and a file with two names are evicted whole`, async (t) => {
    const on = await bench(t, type);
    const fd = openSync(join(on.mount, 'sparse'), 'w');
    for (const at of [0, 1_000_000, 50_000_000]) writeSync(fd, 'data', at);
    closeSync(fd);
    truncateSync(join(on.mount, 'sparse'), 60_000_001);
    writeFileSync(join(on.mount, 'one'), Buffer.alloc(10_000, 7));
    linkSync(join(on.mount, 'one'), join(on.mount, 'two'));
    await native.syncfs(on.dirFd);
    const { status } = await evictClosed(on, [itemOf(on, 'sparse'), itemOf(on, 'one'), itemOf(on, 'two')]);
    t.deepEqual([...status], [evictStatus.released, evictStatus.released, evictStatus.stub]);
    t.like(native.statx(on.dirFd, 'sparse'), { size: 60_000_001, blocks: 0 });
    t.like(native.statx(on.dirFd, 'two'), { size: 10_000, blocks: 0, nlink: 2 });
  });

  rootTest(`${type}: a file that anybody has open, mapped, leased or running stays as it is`, async (t) => {
    const on = await bench(t, type);
    for (const name of ['reading', 'writing', 'leased']) writeFileSync(join(on.mount, name), Buffer.alloc(10_000, 7));
    copyFileSync('/bin/sleep', join(on.mount, 'program'));
    copyFileSync(libraryOf('libm.so.6'), join(on.mount, 'library.so'));
    await native.syncfs(on.dirFd);
    const reading = openSync(join(on.mount, 'reading'), 'r');
    const writing = openSync(join(on.mount, 'writing'), constants.O_WRONLY);
    const leased = openSync(join(on.mount, 'leased'), 'r');
    native.setLease(leased, 'read');
    const running = spawn(join(on.mount, 'program'), ['60'], { timeout: 60_000, env: {} });
    const mapping = spawn('/bin/sleep', ['60'], { timeout: 60_000, env: { LD_PRELOAD: join(on.mount, 'library.so') } });
    await Promise.all([mapped(running.pid, 'program'), mapped(mapping.pid, 'library.so')]);

    const busy = ['reading', 'writing', 'leased', 'program', 'library.so'].map((name) => itemOf(on, name));
    const { status } = await evict(on, busy);
    t.deepEqual([...status], busy.map(() => evictStatus.open));
    for (const item of busy) assertUntouched(t, on, item);

    for (const child of [running, mapping]) {
      child.kill();
      await once(child, 'exit');
    }
    for (const fd of [reading, writing, leased]) closeSync(fd);
    t.deepEqual([...(await evictClosed(on, busy)).status], busy.map(() => evictStatus.released));
  });
}

rootTest('a file that is not the version on tape stays as it is', async (t) => {
  const on = await bench(t);
  for (const name of ['size', 'mtime', 'ctime']) writeFileSync(join(on.mount, name), Buffer.alloc(10_000, 7));
  const was = ['size', 'mtime', 'ctime'].map((name) => itemOf(on, name));
  writeFileSync(join(on.mount, 'size'), 'x', { flag: 'a' });
  utimesSync(join(on.mount, 'mtime'), 1, 2);
  const fd = openSync(join(on.mount, 'ctime'), 'r+');
  writeSync(fd, 'other content', 0);
  native.setTimes(fd, 0n, (was[2] as EvictItem).mtimeNs);
  closeSync(fd);
  t.deepEqual([...(await evictClosed(on, was)).status], [evictStatus.changed, evictStatus.changed, evictStatus.changed]);
  for (const name of ['size', 'mtime', 'ctime']) assertUntouched(t, on, itemOf(on, name));
});

rootTest('a name that now means another file, or none, is gone', async (t) => {
  const on = await bench(t);
  mkdirSync(join(on.mount, 'folder'));
  for (const name of ['removed', 'replaced', 'linked', 'piped', 'foldered', 'folder/inside', 'rehashed']) writeFileSync(join(on.mount, name), Buffer.alloc(10_000, 7));
  const items = ['removed', 'replaced', 'linked', 'piped', 'foldered', 'folder/inside', 'rehashed'].map((name) => itemOf(on, name));
  writeFileSync(join(on.mount, 'other'), Buffer.alloc(10_000, 7));
  renameSync(join(on.mount, 'other'), join(on.mount, 'replaced'));
  for (const name of ['removed', 'linked', 'piped', 'foldered', 'folder']) renameSync(join(on.mount, name), join(on.mount, `${name}-away`));
  symlinkSync('linked-away', join(on.mount, 'linked'));
  symlinkSync('folder-away', join(on.mount, 'folder'));
  mkdirSync(join(on.mount, 'foldered'));
  execFileSync('mkfifo', [join(on.mount, 'piped')]);
  const last = items.at(-1) ?? t.fail();
  const { status } = await evictClosed(on, [...items.slice(0, -1), { ...last, handleHash: last.handleHash ^ 1 }]);
  t.deepEqual([...status], items.map(() => evictStatus.gone));
});

rootTest('immutable and append-only files are told apart from errors', async (t) => {
  const on = await bench(t);
  for (const name of ['immutable', 'append']) writeFileSync(join(on.mount, name), Buffer.alloc(10_000, 7));
  execFileSync('chattr', ['+i', join(on.mount, 'immutable')]);
  execFileSync('chattr', ['+a', join(on.mount, 'append')]);
  const items = [itemOf(on, 'immutable'), itemOf(on, 'append')];
  t.deepEqual([...(await evictClosed(on, items)).status], [evictStatus.immutable, evictStatus.immutable]);
  for (const item of items) assertUntouched(t, on, item);
});

rootTest('files without data blocks are small, and files with a record are stubs', async (t) => {
  const on = await bench(t);
  writeFileSync(join(on.mount, 'empty'), '');
  writeFileSync(join(on.mount, 'hole'), '');
  truncateSync(join(on.mount, 'hole'), 2 ** 30);
  writeFileSync(join(on.mount, 'hole-with-xattr-block'), '');
  truncateSync(join(on.mount, 'hole-with-xattr-block'), 2 ** 30);
  native.setxattr(join(on.mount, 'hole-with-xattr-block'), 'user.long', Buffer.alloc(2000, 7));
  t.true(lstatSync(join(on.mount, 'hole-with-xattr-block')).blocks > 0);
  for (const [name, length] of [['stub', 64], ['longer', 65], ['shorter', 1]] as const) {
    writeFileSync(join(on.mount, name), Buffer.alloc(10_000, 7));
    native.setxattr(join(on.mount, name), stubXattr, Buffer.alloc(length, 1));
  }
  const { status, freed } = await evictClosed(on, ['empty', 'hole', 'hole-with-xattr-block', 'stub', 'longer', 'shorter'].map((name) => itemOf(on, name)));
  t.deepEqual([...status], [evictStatus.small, evictStatus.small, evictStatus.small, evictStatus.stub, evictStatus.stub, evictStatus.stub]);
  t.is(freed, 0);
  t.deepEqual(native.getxattr(join(on.mount, 'stub'), stubXattr), Buffer.alloc(64, 1));
});

rootTest('names of any bytes and paths longer than PATH_MAX are evicted', async (t) => {
  const on = await bench(t);
  const odd = Buffer.from([0xff, 0xfe, 0x0a, 0x20, 0x27]);
  writeFileSync(Buffer.concat([Buffer.from(`${on.mount}/`), odd]), Buffer.alloc(10_000, 7));
  let fd = native.openBeneath(on.dirFd, Buffer.alloc(0), constants.O_RDONLY);
  const name = 'd'.repeat(250);
  for (let i = 0; i < 30; i++) {
    mkdirSync(`/proc/self/fd/${fd}/${name}`);
    const next = native.openBeneath(fd, Buffer.from(name), constants.O_RDONLY);
    testing.closeFd(fd);
    fd = next;
  }
  writeFileSync(`/proc/self/fd/${fd}/file`, Buffer.alloc(10_000, 7));
  const deep: EvictItem = { ...itemOf({ ...on, dirFd: fd }, 'file'), path: Buffer.from(`${`${name}/`.repeat(30)}file`) };
  testing.closeFd(fd);
  t.deepEqual([...(await evictClosed(on, [itemOf(on, odd), deep])).status], [evictStatus.released, evictStatus.released]);
});

rootTest('an error is reported as -errno, and the file stays as it is', async (t) => {
  const on = await bench(t, 'ext4');
  writeFileSync(join(on.mount, 'file'), Buffer.alloc(10_000, 7));
  execFileSync('mount', ['-o', 'remount,ro', on.mount]);
  t.teardown(() => execFileSync('mount', ['-o', 'remount,rw', on.mount]));
  const item = itemOf(on, 'file');
  t.deepEqual([...(await evict(on, [item])).status], [-30 /* EROFS */]);
  assertUntouched(t, on, item);
});

rootTest('the ignore mark of an evicted file is gone, so its next reader asks', async (t) => {
  const on = await bench(t);
  writeFileSync(join(on.mount, 'file'), Buffer.alloc(10_000, 7));
  const group = testing.fanotifyInit();
  testing.fanotifyMark(group, 'private', on.treeFd);
  testing.fanotifyMark(group, 'filesystem', on.dirFd);
  try {
    const fd = native.openBeneath(on.dirFd, Buffer.from('file'), constants.O_RDONLY);
    native.ignoreMark(group, fd, true);
    testing.closeFd(fd);
    const item = itemOf(on, 'file');
    t.deepEqual([...(await evictClosed(on, [item], group)).status], [evictStatus.released]);
    t.deepEqual(testing.fanotifyRead(group), [], 'eviction itself raises no events');
    const stub = native.openBeneath(on.dirFd, Buffer.from('file'), constants.O_RDONLY);
    t.false(native.ignoreMark(group, stub, false));
    testing.closeFd(stub);
  } finally {
    testing.closeFd(group);
  }
});

rootTest('the descriptors may be closed while a batch runs', async (t) => {
  const on = await bench(t);
  for (let i = 0; i < 200; i++) writeFileSync(join(on.mount, `f${i}`), Buffer.alloc(5000, 7));
  const items = Array.from({ length: 200 }, (_, i) => itemOf(on, `f${i}`));
  const { treeFd, dirFd } = native.openPrivateMount(on.mount);
  const result = native.evict({ groupFd: -1, mountFd: dirFd }, items);
  for (const fd of [treeFd, dirFd]) testing.closeFd(fd);
  t.true((await result).status.every((status) => status === evictStatus.released || status === evictStatus.open));
});

test('improper use throws before anything is touched', (t) => {
  const fd = openSync('/', 'r');
  t.teardown(() => closeSync(fd));
  const item: EvictItem = { path: Buffer.from('x'), ino: 1, size: 1, mtimeNs: 1n, ctimeNs: 1n, handleHash: 1, record };
  const attempt = (change: object) => () => native.evict({ groupFd: -1, mountFd: fd }, [{ ...item, ...change }]);
  t.throws(attempt({ record: Buffer.alloc(63) }), { instanceOf: TypeError });
  t.throws(attempt({ path: Buffer.alloc(0) }), { instanceOf: TypeError });
  t.throws(attempt({ path: Buffer.from('a/..') }), { instanceOf: TypeError });
  t.throws(attempt({ path: Buffer.from('a\0b') }), { code: 'ERR_INVALID_ARG_VALUE' });
  t.throws(attempt({ ino: 'x' }), { instanceOf: TypeError });
  t.throws(attempt({ mtimeNs: 1 }), { instanceOf: TypeError });
  t.throws(() => native.evict({ groupFd: -1, mountFd: -1 }, [item]), { code: 'EBADF' });
});

function libraryOf(name: string): string {
  const line = execFileSync('ldconfig', ['-p'], { encoding: 'utf8' }).split('\n').find((each) => each.includes(`${name} (libc6,x86-64`));
  return line?.split('=> ')[1] ?? `/lib/x86_64-linux-gnu/${name}`;
}

async function mapped(pid: number | undefined, name: string): Promise<void> {
  const maps = `/proc/${pid}/maps`;
  while (!execFileSync('cat', [maps], { encoding: 'utf8' }).includes(`/${name}`)) await new Promise((resolve) => setTimeout(resolve, 5));
}
