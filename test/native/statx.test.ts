import { execFileSync } from 'node:child_process';
import { closeSync, constants, linkSync, lstatSync, mkdirSync, openSync, readFileSync, statfsSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../src/native/index.ts';
import { testing } from '../fixtures/testing.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const cwd = -100;

test('statx says what lstat says', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  writeFileSync(path, 'hello');
  linkSync(path, `${path}2`);
  utimesSync(path, 1_000_000_000.25, 1_100_000_000.5);
  const real = lstatSync(path, { bigint: true });
  const stat = native.statx(cwd, path);
  t.like(stat, {
    ino: Number(real.ino),
    mode: Number(real.mode),
    nlink: 2,
    uid: Number(real.uid),
    gid: Number(real.gid),
    size: 5,
    blocks: Number(real.blocks),
    atimeNs: real.atimeNs,
    mtimeNs: real.mtimeNs,
    ctimeNs: real.ctimeNs,
  });
});

test('times before 1970 and after 2038 are right', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  const fd = openSync(path, 'w');
  native.setTimes(fd, -1_500_000_000n, 5_000_000_000_000_000_000n);
  closeSync(fd);
  t.is(native.statx(cwd, path).atimeNs, -1_500_000_000n);
  t.is(native.statx(cwd, path).mtimeNs, 5_000_000_000_000_000_000n);
});

test('an empty path is the descriptor itself, and links are not followed', async (t) => {
  const folder = await temporaryFolder(t);
  symlinkSync('nowhere', join(folder, 'link'));
  const fd = openSync(folder, 'r');
  t.teardown(() => closeSync(fd));
  t.is(native.statx(fd, '').ino, native.statx(cwd, folder).ino);
  t.is(native.statx(fd, Buffer.from('link')).mode & 0o170000, 0o120000);
  t.throws(() => native.statx(fd, 'missing'), { code: 'ENOENT' });
});

test('openBeneath opens what lies beneath and nothing else', async (t) => {
  const folder = await temporaryFolder(t);
  mkdirSync(join(folder, 'in', 'deep'), { recursive: true });
  writeFileSync(join(folder, 'in', 'deep', 'file'), 'content');
  writeFileSync(join(folder, 'outside'), 'secret');
  symlinkSync('deep', join(folder, 'in', 'dirlink'));
  symlinkSync('deep/file', join(folder, 'in', 'link'));
  const root = openSync(join(folder, 'in'), 'r');
  t.teardown(() => closeSync(root));
  const open = (path: string) => native.openBeneath(root, Buffer.from(path), constants.O_RDONLY);
  const fd = open('deep/file');
  t.is(readFileSync(fd, 'utf8'), 'content');
  testing.closeFd(fd);
  const self = open('');
  t.is(native.statx(self, '').ino, native.statx(root, '').ino);
  testing.closeFd(self);
  t.throws(() => open('../outside'), { code: 'EXDEV' });
  t.throws(() => open(join(folder, 'outside')), { code: 'EXDEV' });
  t.throws(() => open('link'), { code: 'ELOOP' });
  t.throws(() => open('dirlink/file'), { code: 'ELOOP' });
  t.throws(() => open('missing'), { code: 'ENOENT', message: /openat2 'missing'/ });
});

test('openBeneath follows paths longer than PATH_MAX', async (t) => {
  const folder = await temporaryFolder(t);
  const name = 'd'.repeat(250);
  t.teardown(() => execFileSync('rm', ['-rf', join(folder, name)], { timeout: 20_000 })); // Node cannot remove paths that long
  let fd = openSync(folder, 'r');
  const root = fd;
  for (let i = 0; i < 40; i++) {
    mkdirSync(`/proc/self/fd/${fd}/${name}`);
    const next = openSync(`/proc/self/fd/${fd}/${name}`, 'r');
    if (fd !== root) closeSync(fd);
    fd = next;
  }
  const path = Array<string>(40).fill(name).join('/');
  const found = native.openBeneath(root, Buffer.from(path), constants.O_RDONLY);
  t.is(native.statx(found, '').ino, native.statx(fd, '').ino);
  t.throws(() => native.openBeneath(root, Buffer.from(`${path}/${'x'.repeat(5000)}`), constants.O_RDONLY), { code: 'ENAMETOOLONG' });
  testing.closeFd(found);
  for (const each of [fd, root]) closeSync(each);
});

test('statfs agrees with Node', (t) => {
  const real = statfsSync('/');
  const mine = native.statfs('/');
  t.is(mine.type, real.type);
  t.is(mine.blocks, real.blocks);
  t.is(mine.blockSize, real.bsize);
  t.regex(mine.fsid, /^[0-9a-f]{16}$/);
  t.throws(() => native.statfs('/nowhere'), { code: 'ENOENT', message: "ENOENT: No such file or directory, statfs '/nowhere'" });
});
