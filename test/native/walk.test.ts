import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, linkSync, mkdirSync, openSync, readdirSync, rmdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { native, projectRoot, type WalkBatch, type WalkOptions } from '../../src/native/index.ts';
import { stubXattr } from '../../src/stub.ts';
import { filesystemTypes, kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const rootTest = kernelTest(test);

interface Found {
  readonly batches: WalkBatch[];
  readonly paths: string[];
  readonly errors: { readonly path: string; readonly code: string }[];
  readonly counts: { symlinks: number; special: number; otherFilesystems: number; directories: number };
}

async function walk(folder: string, paths: readonly string[] = [''], options: Partial<WalkOptions> = {}): Promise<Found> {
  const root = openSync(folder, 'r');
  const walker = native.walk(root, paths.map((path) => Buffer.from(path, 'latin1')), { threads: 2, records: 'none', ...options });
  closeSync(root);
  const found: Found = { batches: [], paths: [], errors: [], counts: { symlinks: 0, special: 0, otherFilesystems: 0, directories: 0 } };
  for (let batch = await walker.next(); batch !== null; batch = await walker.next()) {
    found.batches.push(batch);
    for (let i = 0; i < batch.count; i++) found.paths.push(pathOf(batch, i));
    found.errors.push(...batch.errors.map(({ path, code }) => ({ path: path.toString('latin1'), code })));
    for (const key of ['symlinks', 'special', 'otherFilesystems', 'directories'] as const) found.counts[key] += batch[key];
  }
  found.paths.sort();
  return found;
}

function pathOf(batch: WalkBatch, row: number): string {
  const name = batch.names.subarray(batch.nameEnd[row - 1] ?? 0, batch.nameEnd[row]).toString('latin1');
  const directory = batch.dirs[batch.dir[row] ?? -1]?.toString('latin1');
  return directory === '' ? name : `${directory}/${name}`;
}

function makeTree(folder: string, directories: number, files: number): string[] {
  const paths: string[] = [];
  for (let d = 0; d < directories; d++) {
    const directory = `a${d % 3}/b${d}`;
    mkdirSync(join(folder, directory), { recursive: true });
    for (let i = 0; i < files; i++) paths.push(`${directory}/f${i}`);
  }
  for (const path of paths) writeFileSync(join(folder, path), '');
  return paths.sort();
}

/** Rows of one directory must be consecutive within a batch, and no directory twice in its list. */
function assertGrouped(t: ExecutionContext, batches: readonly WalkBatch[]): void {
  for (const { dir, dirs } of batches) {
    t.true(dir.every((each, i) => i === 0 || each - (dir[i - 1] ?? 0) === 0 || each - (dir[i - 1] ?? 0) === 1));
    t.is(new Set(dirs.map((each) => each.toString('latin1'))).size, dirs.length);
  }
}

for (const threads of [1, 2, 8]) {
  test(`${threads} threads see every file once, whatever the size of a batch`, async (t) => {
    const folder = await temporaryFolder(t);
    const paths = makeTree(folder, 30, 20);
    for (const batchRows of [1, 7, 100_000]) {
      const found = await walk(folder, [''], { threads, batchRows });
      t.deepEqual(found.paths, paths);
      t.true(found.batches.every((batch) => batch.count <= batchRows));
      t.is(found.counts.directories, 1 + 3 + 30);
      assertGrouped(t, found.batches);
    }
  });
}

test('a row says what statx says', async (t) => {
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, 'file'), Buffer.alloc(10_000, 7));
  chmodSync(join(folder, 'file'), 0o640);
  linkSync(join(folder, 'file'), join(folder, 'other name'));
  const { batches, paths } = await walk(folder);
  const stat = native.statx(-100, join(folder, 'file'));
  const batch = batches[0] ?? t.fail();
  t.deepEqual(paths, ['file', 'other name'], 'hard links are all reported');
  for (const row of [0, 1]) {
    const seen = {
      ino: batch.ino[row],
      size: batch.size[row],
      blocks: batch.blocks[row],
      atimeNs: batch.atimeNs[row],
      mtimeNs: batch.mtimeNs[row],
      ctimeNs: batch.ctimeNs[row],
      mode: batch.mode[row],
      uid: batch.uid[row],
      gid: batch.gid[row],
      nlink: batch.nlink[row],
      attributes: batch.attributes[row],
    };
    t.like(stat, seen as Partial<typeof stat>);
  }
  t.deepEqual([batch.records.length, batch.hasRecord[0]], [0, 0]);
});

test('links, pipes and sockets are counted, not followed', async (t) => {
  const folder = await temporaryFolder(t);
  mkdirSync(join(folder, 'real'));
  writeFileSync(join(folder, 'real/file'), '');
  for (const target of ['real', 'real/file', 'nowhere', '/', '..']) symlinkSync(target, join(folder, `link-to-${target.replaceAll('/', '_')}`));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  const { paths, counts, errors } = await walk(folder);
  t.deepEqual(paths, ['real/file']);
  t.deepEqual(counts, { symlinks: 5, special: 1, otherFilesystems: 0, directories: 2 });
  t.deepEqual(errors, []);
});

test('named paths may be files or directories; what is missing or lies outside is an error and the rest is still walked', async (t) => {
  const folder = await temporaryFolder(t);
  makeTree(folder, 4, 3);
  symlinkSync('a0', join(folder, 'link'));
  const named = ['a0/b0', 'a1/b1/f0', 'a1/b1/f2', 'a0/b3/', 'missing', 'a0/missing/x', '../outside', 'a0/..', 'link', 'link/b0', './a2/b2/f1'];
  const { paths, errors, counts, batches } = await walk(folder, named);
  t.deepEqual(paths, ['./a2/b2/f1', 'a0/b0/f0', 'a0/b0/f1', 'a0/b0/f2', 'a0/b3/f0', 'a0/b3/f1', 'a0/b3/f2', 'a1/b1/f0', 'a1/b1/f2']);
  t.deepEqual(errors.map(({ path, code }) => `${path} ${code}`).sort(), ['../outside EXDEV', 'a0/.. EXDEV', 'a0/missing/x ENOENT', 'link/b0 ENOTDIR', 'missing ENOENT']);
  t.is(counts.symlinks, 1);
  t.true(batches.every((batch) => batch.errors.every((each) => each.errno < 0)));
});

test('without recursion only the named directories themselves are read', async (t) => {
  const folder = await temporaryFolder(t);
  makeTree(folder, 3, 2);
  writeFileSync(join(folder, 'top'), '');
  const { paths, counts } = await walk(folder, ['', 'a1/b1'], { recursive: false });
  t.deepEqual(paths, ['a1/b1/f0', 'a1/b1/f1', 'top']);
  t.is(counts.directories, 2);
});

test('an empty folder and an empty list end at once', async (t) => {
  const folder = await temporaryFolder(t);
  t.is((await walk(folder)).counts.directories, 1);
  t.deepEqual((await walk(folder, [])).batches, []);
});

test('names of any bytes come as they are on disk', async (t) => {
  const folder = await temporaryFolder(t);
  const names = [Buffer.from([0xff, 0xfe, 0x80]), Buffer.from('new\nline'), Buffer.from('üñï'), Buffer.from(' '), Buffer.from('-rf'), Buffer.alloc(255, 0x41)];
  for (const name of names) {
    mkdirSync(Buffer.concat([Buffer.from(`${folder}/dir-`), name.subarray(0, 200)]));
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/dir-`), name.subarray(0, 200), Buffer.from('/'), name]), '');
  }
  const { paths } = await walk(folder);
  t.deepEqual(paths, names.map((name) => `dir-${name.subarray(0, 200).toString('latin1')}/${name.toString('latin1')}`).sort());
});

test('trees deeper than PATH_MAX are walked to their end', async (t) => {
  const folder = await temporaryFolder(t);
  const name = 'd'.repeat(200);
  t.teardown(() => execFileSync('rm', ['-rf', join(folder, name)], { timeout: 20_000 })); // Node cannot remove paths that long
  let fd = openSync(folder, 'r');
  for (let i = 0; i < 100; i++) {
    mkdirSync(`/proc/self/fd/${fd}/${name}`);
    const next = openSync(`/proc/self/fd/${fd}/${name}`, 'r');
    closeSync(fd);
    fd = next;
  }
  writeFileSync(`/proc/self/fd/${fd}/file`, '');
  closeSync(fd);
  const { paths, counts, errors } = await walk(folder);
  t.deepEqual(errors, []);
  t.deepEqual(paths, [`${`${name}/`.repeat(100)}file`]);
  t.is(counts.directories, 101);
});

rootTest('a huge directory is shared between threads and stays whole', async (t) => {
  const folder = await loopFilesystem(t, 'ext4');
  rmdirSync(join(folder, 'lost+found'));
  mkdirSync(join(folder, 'huge'));
  mkdirSync(join(folder, 'small'));
  const expected: string[] = [];
  for (let i = 0; i < 6000; i++) expected.push(`huge/some-file-name-${i}`);
  for (let i = 0; i < 50; i++) expected.push(`small/f${i}`);
  for (const path of expected) closeSync(openSync(join(folder, path), 'w'));
  for (const batchRows of [500, 16_384]) {
    const { paths, batches } = await walk(folder, [''], { threads: 4, batchRows });
    t.deepEqual(paths, expected.toSorted());
    assertGrouped(t, batches);
  }
});

test.serial('directories that change meanwhile neither stop the walk nor count as errors', async (t) => {
  const folder = await temporaryFolder(t);
  const stable = makeTree(folder, 30, 10);
  const churn = spawn('sh', ['-c', 'i=0; while :; do i=$((i+1)); mkdir -p c$i/x; : > c$i/x/f; : > a0/b0/t$i; mv c$i d$i; rm -r d$i a0/b0/t$i; done'], { cwd: folder, stdio: 'ignore', timeout: 60_000 });
  t.teardown(async () => {
    if (churn.exitCode === null && churn.kill('SIGKILL')) await once(churn, 'exit');
  });
  for (let round = 0; round < 30; round++) {
    const { paths, errors } = await walk(folder);
    t.deepEqual(errors, []);
    const seen = new Set(paths);
    t.true(stable.every((path) => seen.has(path)));
  }
});

for (const type of filesystemTypes) {
  rootTest(`${type}: records are read of no file, of hollow files or of all`, async (t) => {
    const mount = await loopFilesystem(t, type);
    const record = Buffer.from(Array.from({ length: 64 }, (_, i) => i));
    for (const name of ['1-plain', '2-copied', '3-short', '4-long', '5-stub', '6-hollow']) writeFileSync(join(mount, name), name.slice(0, 1) < '5' ? 'data' : '');
    for (const name of ['5-stub', '6-hollow']) truncateSync(join(mount, name), 100_000);
    native.setxattr(join(mount, '2-copied'), stubXattr, record);
    native.setxattr(join(mount, '3-short'), stubXattr, Buffer.alloc(63, 1));
    native.setxattr(join(mount, '4-long'), stubXattr, Buffer.alloc(65, 1));
    native.setxattr(join(mount, '5-stub'), stubXattr, record);
    const seen = async (records: WalkOptions['records']) => {
      const { batches } = await walk(mount, [''], { records });
      const rows = batches.flatMap((batch) => Array.from({ length: batch.count }, (_, i) => ({ path: pathOf(batch, i), has: batch.hasRecord[i], record: batch.records.subarray(i * 64, i * 64 + 64) })));
      return rows.filter((row) => !row.path.startsWith('lost+found')).sort((a, b) => (a.path < b.path ? -1 : 1));
    };
    t.deepEqual((await seen('none')).map((row) => [row.has, row.record.length]), Array(6).fill([0, 0]));
    t.deepEqual((await seen('hollow')).map((row) => row.has), [0, 0, 0, 0, 1, 0]);
    const all = await seen('all');
    t.deepEqual(all.map((row) => row.has), [0, 1, 2, 2, 1, 0]);
    t.deepEqual(all.map((row) => row.record), [0, 1, 0, 0, 1, 0].map((has) => (has ? record : Buffer.alloc(64))));
  });
}

rootTest('other filesystems are counted and not entered: mounts, bind mounts of files, btrfs subvolumes', async (t) => {
  const mount = await loopFilesystem(t, 'btrfs');
  for (const name of ['tmpfs', 'bound']) mkdirSync(join(mount, name));
  for (const name of ['file', 'over', 'bound/inside']) writeFileSync(join(mount, name), 'x');
  mkdirSync(join(mount, 'again'));
  execFileSync('btrfs', ['-q', 'subvolume', 'create', join(mount, 'subvolume')]);
  writeFileSync(join(mount, 'subvolume/file'), 'x');
  const mounts = [['-t', 'tmpfs', 'tmpfs', join(mount, 'tmpfs')], ['--bind', '/etc/hostname', join(mount, 'over')], ['--bind', join(mount, 'bound'), join(mount, 'again')]];
  for (const options of mounts) {
    execFileSync('mount', options);
    t.teardown(() => execFileSync('umount', [options.at(-1) ?? '']));
  }
  writeFileSync(join(mount, 'tmpfs/file'), 'x');
  const { paths, counts, errors } = await walk(mount);
  t.deepEqual(paths, ['bound/inside', 'file']);
  t.is(counts.otherFilesystems, 4);
  t.deepEqual(errors, []);
});

rootTest('an ordinary user can walk what he may read; the rest is reported', async (t) => {
  const folder = await temporaryFolder(t);
  const uid = 65534;
  chmodSync(folder, 0o755);
  for (const name of ['open', 'closed', 'listed']) mkdirSync(join(folder, name));
  for (const name of ['open/file', 'closed/file', 'listed/file']) writeFileSync(join(folder, name), 'x');
  chmodSync(join(folder, 'closed'), 0o700);
  chmodSync(join(folder, 'listed'), 0o744);
  const script = `
    import { openSync } from 'node:fs';
    import { native } from '${projectRoot}src/native/index.ts';
    const walker = native.walk(openSync('${folder}', 'r'), [Buffer.alloc(0)], { threads: 2, records: 'all' });
    const seen = [];
    for (let batch; (batch = await walker.next()) !== null; ) seen.push(batch.names.toString(), ...batch.errors.map((each) => each.path + ' ' + each.code));
    // A batch of nothing but errors has no names.
    console.log(seen.filter((each) => each !== '').sort().join());`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { uid, gid: uid, timeout: 20_000, encoding: 'utf8' });
  if (child.error !== undefined || /EACCES.*native\/index|Cannot find module|ERR_MODULE_NOT_FOUND/.test(child.stderr)) {
    t.log('not tried: user nobody cannot read this checkout');
    t.pass();
    return;
  }
  t.is(child.stderr, '');
  t.is(child.stdout.trim(), ['closed EACCES', 'file', 'listed/file EACCES'].join());
});

test('close() ends a walk early, also while a batch is waited for, and may be called twice', async (t) => {
  const folder = await temporaryFolder(t);
  makeTree(folder, 50, 20);
  const root = openSync(folder, 'r');
  t.teardown(() => closeSync(root));
  for (let round = 0; round < 40; round++) {
    const walker = native.walk(root, [Buffer.alloc(0)], { threads: 3, records: 'none', batchRows: 10 });
    for (let i = 0; i < round % 5; i++) t.not(await walker.next(), null);
    const waiting = round % 2 === 0 ? walker.next() : null;
    walker.close();
    walker.close();
    if (waiting !== null) await waiting;
    t.is(await walker.next(), null);
  }
});

test('a walk that nobody reads holds no more than a few batches and ends with its process', (t) => {
  const script = `
    import { openSync } from 'node:fs';
    import { native } from '${projectRoot}src/native/index.ts';
    for (let i = 0; i < 5; i++) native.walk(openSync('/usr', 'r'), [Buffer.alloc(0)], { threads: 2, records: 'none', batchRows: 100 });
    setTimeout(() => console.log(process.memoryUsage().rss < 150 * 2 ** 20), 200);`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000, encoding: 'utf8' });
  t.is(child.stdout, 'true\n');
  t.is(child.status, 0);
});

test('next() keeps the process alive, and only one call is allowed at a time', async (t) => {
  const folder = await temporaryFolder(t);
  makeTree(folder, 3, 3);
  const root = openSync(folder, 'r');
  t.teardown(() => closeSync(root));
  const walker = native.walk(root, [Buffer.alloc(0)], { threads: 1, records: 'none' });
  const first = walker.next();
  t.throws(() => walker.next(), { message: /next\(\)/ });
  t.is((await first)?.count, 9);
  walker.close();
});

test('release() empties the arrays of a batch and leaves others alone', async (t) => {
  const folder = await temporaryFolder(t);
  makeTree(folder, 3, 3);
  const root = openSync(folder, 'r');
  t.teardown(() => closeSync(root));
  const walker = native.walk(root, [Buffer.alloc(0)], { threads: 1, records: 'all', batchRows: 4 });
  const [first, second] = [await walker.next(), await walker.next()];
  if (first === null || second === null) return t.fail();
  walker.release(first);
  t.deepEqual([first.ino.length, first.names.length, first.records.length], [0, 0, 0]);
  t.deepEqual([second.ino.length, second.names.length, second.records.length], [second.count, second.count * 2, second.count * 64]);
  t.notThrows(() => walker.release(first));
  t.throws(() => walker.release({} as WalkBatch), { instanceOf: TypeError });
  walker.close();
});

test('no descriptor is left open after a walk', async (t) => {
  const folder = await temporaryFolder(t);
  makeTree(folder, 20, 5);
  await walk(folder);
  const linked = readdirSync('/proc/self/fd').filter((fd) => spawnSync('readlink', [`/proc/${process.pid}/fd/${fd}`], { encoding: 'utf8' }).stdout.startsWith(folder));
  t.deepEqual(linked, []);
});

test('improper use is a TypeError', (t) => {
  const options: WalkOptions = { threads: 1, records: 'none' };
  t.throws(() => native.walk(0, ['x'] as unknown as Buffer[], { ...options, threads: 0 }), { instanceOf: TypeError });
  t.throws(() => native.walk(0, [], { ...options, threads: 65 }), { instanceOf: TypeError });
  t.throws(() => native.walk(0, [], { ...options, records: 'some' as 'none' }), { instanceOf: TypeError });
  t.throws(() => native.walk(0, [], { ...options, batchRows: 0 }), { instanceOf: TypeError });
  t.throws(() => native.walk(0, [Buffer.from('a\0b')], options), { code: 'ERR_INVALID_ARG_VALUE' });
  t.throws(() => native.walk(-1, [], options), { code: 'EBADF' });
});
