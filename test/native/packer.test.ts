import { createHash } from 'node:crypto';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { isIndexName, parseIndex } from '../../src/media/format.ts';
import { native, packStatus } from '../../src/native/index.ts';
import { encodeStubRecord, stubXattr } from '../../src/stub.ts';
import { filesystemTypes, kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';
import { collect, inputOf, newPacker, objectPrefix, pack, rowsOf } from '../fixtures/pack.ts';
import { seededBytes } from '../fixtures/random.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const onKernel = kernelTest(test);
const sha256 = (data: Buffer): Buffer => createHash('sha256').update(data).digest();
const tar = (args: readonly string[], locale = 'C'): string =>
  execFileSync('tar', [...args], { timeout: 60_000, encoding: 'latin1', env: { ...process.env, LC_ALL: locale } });

/** Gives all data its blocks. */
const settle = (root: string): void => {
  execFileSync('sync', ['-f', root], { timeout: 60_000 });
};

const oddNames = ['plain', 'with space', 'new\nline', '-dash', 'ünïcödé', 'quote"back\\slash', 'x'.repeat(255), Buffer.from([0x62, 0xff, 0xfe]), '=%'] as const;

function makeTree(root: string): (string | Buffer)[] {
  const paths: (string | Buffer)[] = [];
  const write = (path: string | Buffer, data: Buffer): void => {
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path)]), data);
    paths.push(path);
  };
  mkdirSync(join(root, 'deep', 'y'.repeat(200), 'z'), { recursive: true });
  oddNames.forEach((name, i) => write(name, seededBytes(i, 1 + i * 700)));
  write(`deep/${'y'.repeat(200)}/z/file`, seededBytes(50, 5000));
  write('deep/one-mebibyte', seededBytes(51, 2 ** 20));
  write('deep/large', seededBytes(52, 3 * 2 ** 20 + 12345));
  write('deep/large too', seededBytes(53, 2 ** 20 + 1));
  sparse(root, 'sparse', 5 * 2 ** 20, [[2 ** 20, 4096], [3 * 2 ** 20, 10]]);
  sparse(root, 'small sparse', 300_000, [[65_536, 100], [299_999, 1]]);
  sparse(root, 'hole at the end', 3 * 2 ** 20, [[0, 8192]]);
  paths.push('sparse', 'small sparse', 'hole at the end');
  linkSync(join(root, 'plain'), join(root, 'deep', 'second name of plain'));
  linkSync(join(root, 'deep', 'large'), join(root, 'deep', 'ünï'.repeat(50)));
  paths.push('deep/second name of plain', `deep/${'ünï'.repeat(50)}`);
  chmodSync(join(root, 'with space'), 0o4751);
  chownSync(join(root, 'ünïcödé'), 3_000_000_000, 12345);
  utimesSync(join(root, '-dash'), -1.5, -123456.25);
  utimesSync(join(root, '=%'), 7_000_000_000, 7_000_000_000.5);
  native.setxattr(join(root, 'plain'), 'user.note', Buffer.from('bytes \0\n=% \xff', 'latin1'));
  native.setxattr(join(root, 'plain'), 'user.a=b%c', Buffer.from('odd key'));
  native.setxattr(join(root, 'deep', 'large'), 'trusted.secret', Buffer.alloc(900, 7));
  execFileSync('setfacl', ['-m', 'u:4242:r-x,g:77:-w-', join(root, 'deep', 'one-mebibyte')], { timeout: 10_000 });
  return paths;
}

function sparse(root: string, name: string, size: number, pieces: readonly (readonly [at: number, length: number])[]): void {
  const fd = openSync(join(root, name), 'w');
  ftruncateSync(fd, size);
  for (const [at, length] of pieces) writeSync(fd, seededBytes(at, length), 0, length, at);
  closeSync(fd);
}

/** All that a restore by tar has to bring back. */
function describe(path: Buffer): object {
  const { mode, uid, gid, size, mtimeNs, nlink } = lstatSync(path, { bigint: true });
  const xattrs = native
    .listxattr(path)
    .filter((name) => name !== 'security.selinux')
    .sort()
    .map((name) => [name, native.getxattr(path, name)?.toString('hex')]);
  return { mode, uid, gid, size, mtimeNs, nlink, xattrs, content: sha256(readFileSync(path)).toString('hex') };
}

const at = (root: string, path: string | Buffer): Buffer => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path)]);

for (const type of filesystemTypes) {
  onKernel(`GNU tar restores a container from ${type} with every byte and attribute`, async (t) => {
    const root = await loopFilesystem(t, type, 128);
    const paths = makeTree(root);
    const { container, rows } = await pack(newPacker(t, root), [inputOf(root, paths)]);
    t.is(container.length % 2 ** 20, 0);
    t.is(rows.length, paths.length);
    t.deepEqual(
      rows.map(({ status }) => status),
      paths.map((path) => (String(path).includes('second name') || String(path).includes('ünïünï') ? packStatus.hardlink : packStatus.packed)),
    );
    for (const locale of ['C', 'C.UTF-8']) {
      const out = mkdtempSync(join(root, 'out-'));
      writeFileSync(join(out, '.tar'), container);
      const said = tar(['-xpf', join(out, '.tar'), '-C', out, '--acls', '--xattrs', '--xattrs-include=*', '--warning=no-unknown-keyword', '--warning=no-timestamp'], locale);
      t.is(said, '');
      for (const path of paths) t.deepEqual(describe(at(out, path)), describe(at(root, path)), `${String(path)} in ${locale}`);
      for (const name of ['sparse', 'small sparse', 'hole at the end']) t.true(statSync(join(out, name)).blocks * 512 < statSync(join(root, name)).size / 2, name);
      rmSync(out, { recursive: true });
    }
  });
}

test('one member is restored from its offset by tail and tar', async (t) => {
  const root = await temporaryFolder(t);
  const paths = makeTree(root);
  const { container, rows } = await pack(newPacker(t, root), [inputOf(root, paths)]);
  const file = join(root, '.tar');
  writeFileSync(file, container);
  const command = 'tail -c +$((OFFSET + 1)) "$FILE" | tar -xpf - -C "$OUT" --occurrence=1 --warning=no-unknown-keyword "$NAME"';
  for (const path of ['plain', 'ünïcödé', 'deep/large', 'sparse', `deep/${'y'.repeat(200)}/z/file`]) {
    const out = mkdtempSync(join(root, 'out-'));
    const OFFSET = String(rows[paths.indexOf(path)]?.offset);
    execFileSync('sh', ['-c', command], { env: { ...process.env, OFFSET, FILE: file, OUT: out, NAME: path }, timeout: 30_000 });
    t.true(readFileSync(join(out, path)).equals(readFileSync(join(root, path))));
  }
});

test('offset, length, header length, hash and times of a row are those of the member and the file', async (t) => {
  const root = await temporaryFolder(t);
  const paths = makeTree(root);
  const { container, rows } = await pack(newPacker(t, root), [inputOf(root, paths)]);
  let position = 0;
  for (const [i, row] of rows.entries()) {
    const stat = lstatSync(at(root, paths[i] ?? ''), { bigint: true });
    t.is(row.offset, position);
    position += row.length;
    const member = native.parseMember(container.subarray(row.offset));
    if (member.status !== 'ok') return t.fail(`row ${i} is ${member.status}`);
    t.deepEqual(member.name, Buffer.from(paths[i] ?? ''));
    t.is(member.headerLength, row.headerLength);
    t.deepEqual(member.object, row.objectId);
    t.deepEqual(row.objectId.subarray(0, 8), objectPrefix);
    t.is(row.mtimeNs, stat.mtimeNs);
    t.is(row.ctimeNs, stat.ctimeNs);
    t.is(row.size, Number(stat.size));
    t.is(row.ino, Number(stat.ino));
    t.is(row.nlink, Number(stat.nlink));
    t.is(row.handleHash, native.handleHash(native.fileHandle(-100, at(root, paths[i] ?? ''))));
    if (row.status === packStatus.hardlink) continue;
    t.is(row.length, row.headerLength + Math.ceil(member.payload / 512) * 512);
    const payload = container.subarray(row.offset + row.headerLength).subarray(0, member.payload);
    t.deepEqual(row.sha256, sha256(payload));
    if (!member.sparse) t.deepEqual(row.sha256, sha256(readFileSync(at(root, paths[i] ?? ''))));
    t.deepEqual(member.sha256, row.size <= 2 ** 20 ? row.sha256 : null);
    t.is(member.handle, native.fileHandle(-100, at(root, paths[i] ?? '')).toString('hex'));
  }
  t.is(new Set(rows.filter(({ status }) => status === packStatus.packed).map(({ objectId }) => objectId.toString('hex'))).size, paths.length - 2);
});

test('the index lists every member in order', async (t) => {
  const root = await temporaryFolder(t);
  const paths = makeTree(root);
  const { container, rows } = await pack(newPacker(t, root), [inputOf(root, paths)]);
  const entries = indexOf(container);
  t.is(entries.length, paths.length);
  for (const [i, entry] of entries.entries()) {
    const row = rows[i];
    t.deepEqual(entry.name, Buffer.from(paths[i] ?? ''));
    t.deepEqual([entry.offset, entry.length, entry.headerLength, entry.size], [row?.offset, row?.length, row?.headerLength, row?.size]);
    t.deepEqual(entry.object, row?.objectId);
    t.is(entry.kind, row?.status === packStatus.hardlink ? 'link' : 'file');
    if (entry.kind === 'file') t.deepEqual([entry.sha256, entry.mtimeNs], [row?.sha256, row?.mtimeNs]);
  }
  t.deepEqual(entries.find(({ kind }) => kind === 'link')?.link, Buffer.from('plain'));
});

function indexOf(container: Buffer): ReturnType<typeof parseIndex> {
  for (let position = 0; ; ) {
    const member = native.parseMember(container.subarray(position));
    if (member.status !== 'ok') throw new Error(`no index, but ${member.status} at ${position}`);
    const start = position + member.headerLength;
    if (isIndexName(member.name)) return parseIndex(container.subarray(start, start + member.payload));
    position = start + Math.ceil(member.payload / 512) * 512;
  }
}

test(`names of one inode do not get in each other's way`, async (t) => {
  const root = await temporaryFolder(t);
  for (const size of [100, 2 ** 20 + 100]) {
    const paths = Array.from({ length: 400 }, (_, i) => `${size}-${i}`);
    writeFileSync(join(root, paths[0] ?? ''), seededBytes(1, size));
    for (const path of paths.slice(1)) linkSync(join(root, paths[0] ?? ''), join(root, path));
    const packer = newPacker(t, root, 4);
    for (let round = 0; round < 10; round += 1) {
      // Pushed one by one, so that all threads have one of them in hand at the same time.
      packer.begin();
      for (const path of paths) packer.push(inputOf(root, [path]));
      packer.end();
      const { rows } = await collect(packer);
      t.deepEqual(
        rows.map(({ status }) => status),
        paths.map((_, i) => (i === 0 ? packStatus.packed : packStatus.hardlink)),
      );
      t.true(rows.every(({ sha256: hash, objectId }) => hash.equals(rows[0]?.sha256 ?? hash) && objectId.equals(rows[0]?.objectId ?? objectId)));
    }
  }
});

for (const type of filesystemTypes) {
  onKernel(`files that must not be archived are skipped with their reason on ${type}`, async (t) => {
    const root = await loopFilesystem(t, type);
    const names = ['good', 'open', 'open for reading', 'mapped', 'immutable', 'append', 'gone', 'other', 'link', 'fifo', 'empty', 'no blocks', 'stub', 'half', 'truncated record'];
    for (const name of names) writeFileSync(join(root, name), seededBytes(1, 8192));
    for (const name of ['stub', 'half', 'no blocks']) writeFileSync(join(root, name), '');
    for (const name of ['stub', 'half', 'no blocks']) execFileSync('truncate', ['-s', '8192', join(root, name)], { timeout: 10_000 });
    writeFileSync(join(root, 'empty'), '');
    const paths = [...names, 'missing', 'no folder/file', 'a link/good'];
    mkdirSync(join(root, 'no folder'));
    mkdirSync(join(root, 'a link'));
    writeFileSync(join(root, 'a link', 'good'), 'x');
    settle(root);
    const input = inputOf(root, paths);
    // What happens between the scan and the packing.
    rmSync(join(root, 'gone'));
    rmSync(join(root, 'no folder'), { recursive: true });
    renameSync(join(root, 'a link'), join(root, 'a folder'));
    symlinkSync('a folder', join(root, 'a link'));
    writeFileSync(join(root, 'new'), seededBytes(1, 8192));
    renameSync(join(root, 'new'), join(root, 'other'));
    rmSync(join(root, 'link'));
    symlinkSync('good', join(root, 'link'));
    rmSync(join(root, 'fifo'));
    execFileSync('mkfifo', [join(root, 'fifo')], { timeout: 10_000 });
    const record = (name: string): void => native.setxattr(join(root, name), stubXattr, recordOf(join(root, name)));
    record('stub');
    record('half');
    native.setxattr(join(root, 'truncated record'), stubXattr, Buffer.alloc(63, 1));
    const half = openSync(join(root, 'half'), 'r+');
    writeSync(half, seededBytes(3, 4096), 0, 4096, 0);
    closeSync(half);
    settle(root);
    execFileSync('chattr', ['+i', join(root, 'immutable')], { timeout: 10_000 });
    execFileSync('chattr', ['+a', join(root, 'append')], { timeout: 10_000 });
    const open = [openSync(join(root, 'open'), 'r+'), openSync(join(root, 'open for reading'), 'r')];
    const mapping = spawn('python3', ['-c', 'import mmap,sys;f=open(sys.argv[1],"r+b");m=mmap.mmap(f.fileno(),0);f.close();print("mapped",flush=True);sys.stdin.read()', join(root, 'mapped')]);
    t.teardown(() => mapping.kill());
    await once(mapping.stdout, 'data');

    const { container, rows } = await pack(newPacker(t, root), [input]);
    const found = Object.fromEntries(rows.map(({ row, status }): [string, number] => [paths[row] ?? '', status]));
    t.deepEqual(found, {
      good: packStatus.packed,
      open: packStatus.open,
      'open for reading': packStatus.open,
      mapped: packStatus.open,
      immutable: packStatus.immutable,
      append: packStatus.immutable,
      gone: packStatus.gone,
      other: packStatus.gone,
      link: packStatus.gone,
      fifo: packStatus.gone,
      empty: packStatus.empty,
      'no blocks': packStatus.small,
      stub: packStatus.stub,
      half: packStatus.stub,
      'truncated record': packStatus.stub,
      missing: packStatus.gone,
      'no folder/file': packStatus.gone,
      'a link/good': packStatus.gone,
    });
    t.is(indexOf(container).length, 1);
    for (const fd of open) closeSync(fd);
    const ended = once(mapping, 'exit');
    mapping.stdin.end();
    await ended;
    execFileSync('chattr', ['-i', '-a', join(root, 'immutable'), join(root, 'append')], { timeout: 10_000 });
  });

  onKernel(`a foreign record is not taken to tape, and its file is archived, on ${type}`, async (t) => {
    const root = await loopFilesystem(t, type);
    for (const name of ['copy', 'hollow', 'grown']) writeFileSync(join(root, name), seededBytes(9, 8192));
    const hollow = openSync(join(root, 'hollow'), 'r+');
    native.punchHole(hollow, 0, 8192);
    closeSync(hollow);
    native.setxattr(join(root, 'copy'), stubXattr, recordOf(join(root, 'copy'), { handleHash: 12345 }));
    native.setxattr(join(root, 'hollow'), stubXattr, recordOf(join(root, 'hollow'), { handleHash: 12345 }));
    native.setxattr(join(root, 'grown'), stubXattr, recordOf(join(root, 'grown'), { size: 100 }));
    native.setxattr(join(root, 'copy'), 'user.kept', Buffer.from('yes'));
    settle(root);
    const { container, rows } = await pack(newPacker(t, root), [inputOf(root, ['copy', 'hollow', 'grown'])]);
    t.deepEqual(
      rows.map(({ status }) => status),
      [packStatus.packed, packStatus.stub, packStatus.packed],
    );
    t.true(container.includes('SCHILY.xattr.user.kept=yes'));
    t.false(container.includes(stubXattr));
  });
}

function recordOf(path: string, change: { handleHash?: number; size?: number } = {}): Buffer {
  const handleHash = native.handleHash(native.fileHandle(-100, path));
  const record = { flags: 0, volume: 'V00001L9', container: 1, offset: 0, object: Buffer.alloc(16, 5), size: statSync(path).size, mtimeNs: 0n, handleHash };
  return encodeStubRecord({ ...record, ...change });
}

onKernel('a large file that is written to, cut or mapped while it is copied becomes void, and its neighbours stay good', async (t) => {
  const root = await loopFilesystem(t, 'ext4', 256);
  const size = 24 * 2 ** 20;
  const damage: Record<string, (path: string) => void> = {
    written: (path) => {
      // O_NONBLOCK: no lease of the packer may be in the way.
      const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
      writeSync(fd, 'x', 1000);
      closeSync(fd);
    },
    cut: (path) => execFileSync('truncate', ['-s', '1000', path], { timeout: 10_000 }),
    grown: (path) => appendFileSync(path, 'more'),
    mapped: (path) =>
      void execFileSync('python3', ['-c', 'import mmap,sys;f=open(sys.argv[1],"r+b");m=mmap.mmap(f.fileno(),0);m[23<<20]=m[23<<20]^1', path], { timeout: 20_000 }),
  };
  for (const [name, change] of Object.entries(damage)) {
    writeFileSync(join(root, 'before'), 'before');
    writeFileSync(join(root, name), seededBytes(4, size));
    writeFileSync(join(root, 'after'), 'after');
    settle(root);
    const packer = newPacker(t, root);
    packer.begin();
    packer.push(inputOf(root, ['before', name, 'after']));
    packer.end();
    // The packer fills all its blocks, 16, and waits: the file is now half read.
    const first = await packer.next();
    const held = [first];
    while (held.length < 16) held.push(await packer.next());
    change(join(root, name));
    const blocks = held.map(({ block }) => Buffer.from(block ?? []));
    for (const { block } of held) if (block !== null) packer.release(block);
    const rest = await collect(packer);
    const rows = [...held.flatMap(({ members }) => rowsOf(members)), ...rest.rows];
    const container = Buffer.concat([...blocks, rest.container]);
    t.deepEqual(
      rows.map(({ status }) => status),
      [packStatus.packed, packStatus.changed, packStatus.packed],
      name,
    );
    const [before, changed, after] = indexOf(container);
    t.is(before?.kind, 'file');
    t.is(after?.kind, 'file');
    t.is(changed?.kind, 'void');
    t.is(changed?.reason, 'changed');
    t.is(rows[2]?.offset, (rows[1]?.offset ?? 0) + (rows[1]?.length ?? 0));
    t.true(container.subarray((rows[2]?.offset ?? 0) + (rows[2]?.headerLength ?? 0)).toString('latin1', 0, 5) === 'after');
    for (const file of ['before', name, 'after']) rmSync(join(root, file));
  }
});

onKernel('a small file that is rewritten all the time is archived whole or not at all', async (t) => {
  const root = await loopFilesystem(t, 'ext4');
  const path = join(root, 'busy');
  const length = 128 * 1024;
  writeFileSync(path, Buffer.alloc(length, 1));
  // Bursts of writes, and pauses in which the file is at rest.
  const script = `import os, sys, time
n = 0
while True:
    n = n % 250 + 1
    f = os.open(sys.argv[1], os.O_WRONLY)
    os.write(f, bytes([n]) * ${length})
    os.close(f)
    if n % 50 == 0:
        print('pause', flush=True)
        time.sleep(0.05)`;
  const writer = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => writer.kill('SIGKILL'));
  await once(writer.stdout, 'data');
  writer.stdout.resume();
  const packer = newPacker(t, root);
  const input = inputOf(
    root,
    Array.from({ length: 50 }, () => 'busy'),
  );
  const seen = new Set<number>();
  // Until the writer was in the way at least once, and at least once was not.
  for (let round = 0; round < 200 && !(round >= 5 && seen.has(packStatus.packed) && seen.size > 1); round += 1) {
    const { container, rows } = await pack(packer, [input]);
    for (const row of rows) {
      seen.add(row.status);
      if (row.status !== packStatus.packed) continue;
      const payload = container.subarray(row.offset + row.headerLength).subarray(0, length);
      t.true(payload.equals(Buffer.alloc(length, payload[0])), 'a torn file was archived');
    }
  }
  const ended = once(writer, 'exit');
  writer.kill('SIGKILL');
  await ended;
  for (const status of seen) t.true(([packStatus.packed, packStatus.open, packStatus.changed] as number[]).includes(status), `status ${status}`);
  t.true(seen.has(packStatus.packed) && seen.size > 1, `only ${[...seen].join(', ')}`);
});

test('reading leaves the times of access alone', async (t) => {
  const root = await temporaryFolder(t);
  for (const [name, size] of [['small', 100], ['large', 2 ** 21]] as const) {
    writeFileSync(join(root, name), seededBytes(1, size));
    utimesSync(join(root, name), 1000, 2000);
  }
  await pack(newPacker(t, root), [inputOf(root, ['small', 'large'])]);
  for (const name of ['small', 'large']) t.is(statSync(join(root, name)).atimeMs, 1_000_000);
});

test('a packer never has more than 16 blocks out', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(join(root, 'large'), seededBytes(1, 20 * 2 ** 20));
  const packer = newPacker(t, root);
  packer.begin();
  packer.push(inputOf(root, ['large']));
  packer.end();
  const blocks: Buffer[] = [];
  while (blocks.length < 16) blocks.push((await packer.next()).block ?? Buffer.alloc(0));
  t.is(new Set(blocks).size, 16);
  const seventeenth = packer.next();
  const given = blocks[5] ?? Buffer.alloc(0);
  packer.release(given);
  t.is((await seventeenth).block, given);
  await packer.abort();
});

test('a container can be dropped at any block, and the next one is whole', async (t) => {
  const root = await temporaryFolder(t);
  const paths: string[] = [];
  for (let i = 0; i < 300; i += 1) {
    const path = `f${i}`;
    writeFileSync(join(root, path), seededBytes(i, 20_000));
    paths.push(path);
  }
  writeFileSync(join(root, 'large'), seededBytes(1, 6 * 2 ** 20));
  paths.splice(150, 0, 'large');
  const packer = newPacker(t, root);
  const whole = await pack(packer, [inputOf(root, paths)]);
  const descriptors = readdirSync('/proc/self/fd').length;
  for (let n = 0; n <= whole.container.length / 2 ** 20; n += 1) {
    packer.begin();
    packer.push(inputOf(root, paths));
    // Without its end the container's last block never comes.
    if (n % 2 === 0 || n * 2 ** 20 === whole.container.length) packer.end();
    const kept: Buffer[] = [];
    for (let i = 0; i < n; i += 1) {
      const { block } = await packer.next();
      if (block === null) break;
      if (i % 2 === 0) kept.push(block);
      else packer.release(block);
    }
    const waiting = n % 3 === 0 ? packer.next().catch((error: unknown) => error) : null;
    await packer.abort();
    const outcome: unknown = await waiting;
    if (outcome instanceof Error) t.is((outcome as NodeJS.ErrnoException).code, 'ECANCELED');
    if (outcome !== null && !(outcome instanceof Error)) kept.push((outcome as { block: Buffer }).block);
    for (const block of kept) packer.release(block);
  }
  const again = await pack(packer, [inputOf(root, paths)]);
  t.deepEqual(
    again.rows.map(({ offset, length, sha256: hash }) => [offset, length, hash]),
    whole.rows.map(({ offset, length, sha256: hash }) => [offset, length, hash]),
  );
  t.true(again.rows.every(({ status }) => status === packStatus.packed));
  t.is(readdirSync('/proc/self/fd').length, descriptors);
});

test('many files pushed in pieces come out in their order, whatever the number of threads', async (t) => {
  const root = await temporaryFolder(t);
  const paths: string[] = [];
  for (let d = 0; d < 7; d += 1) {
    mkdirSync(join(root, `d${d}`));
    for (let i = 0; i < 300; i += 1) {
      const path = `d${d}/f${i}`;
      writeFileSync(join(root, path), seededBytes(i, (i * 37) % 3000));
      paths.push(path);
    }
  }
  for (const threads of [1, 2, 5]) {
    const packer = newPacker(t, root, threads);
    packer.begin();
    for (let from = 0; from < paths.length; from += 500) packer.push(inputOf(root, paths.slice(from, from + 500)));
    packer.end();
    const { container, rows } = await collect(packer);
    t.deepEqual(
      rows.map(({ status }) => status),
      paths.map((path) => (statSync(join(root, path)).size === 0 ? packStatus.empty : packStatus.packed)),
    );
    const packed = rows.filter(({ status }) => status === packStatus.packed);
    t.deepEqual(
      indexOf(container).map(({ name }) => name.toString()),
      packed.map(({ row }) => paths[row]),
    );
    const ids = packed.map(({ objectId }) => objectId.toString('hex'));
    t.deepEqual(ids, [...ids].sort());
  }
});

test('a file from anywhere can be a member under another name', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(join(root, 'dump'), seededBytes(1, 2_500_000));
  const packer = newPacker(t, root);
  packer.begin();
  packer.pushFile('.hsm/catalogue-20260102T030405Z.db', join(root, 'dump'));
  packer.pushFile('nothing', join(root, 'missing'));
  packer.pushFile('a folder', root);
  packer.end();
  const { container, rows } = await collect(packer);
  t.deepEqual(
    rows.map(({ status }) => status),
    [0, -2, -22],
  );
  const out = join(root, '.tar');
  writeFileSync(out, container);
  t.regex(tar(['-tf', out, '--warning=no-unknown-keyword']), /^\.hsm\/catalogue-20260102T030405Z\.db\n\.hsm\/index-[0-9a-f]{32}\.jsonl\n$/);
  tar(['-xf', out, '-C', root, '--warning=no-unknown-keyword']);
  t.true(readFileSync(join(root, '.hsm/catalogue-20260102T030405Z.db')).equals(readFileSync(join(root, 'dump'))));
});

test('a container without members has no blocks but its rows', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(join(root, 'empty'), '');
  const packer = newPacker(t, root);
  const { container, rows } = await pack(packer, [inputOf(root, ['empty', 'missing'])]);
  t.is(container.length, 0);
  t.deepEqual(
    rows.map(({ status }) => status),
    [packStatus.empty, packStatus.gone],
  );
  t.is((await pack(packer, [])).container.length, 0);
});

onKernel('a member of more than 8 GiB has its size in the pax header, as GNU tar reads it', async (t) => {
  const root = await loopFilesystem(t, 'xfs', 320);
  const path = join(root, 'huge');
  const piece = 64 * 2 ** 20;
  writeFileSync(path, seededBytes(1, piece));
  // The same 64 MiB of disk, 130 times.
  execFileSync('xfs_io', ['-c', Array.from({ length: 129 }, (_, i) => `reflink ${path} 0 ${(i + 1) * piece} ${piece}`)[0] ?? '', path], { timeout: 30_000 });
  for (let done = 2; done < 130; done *= 2) {
    const length = Math.min(done, 130 - done) * piece;
    execFileSync('xfs_io', ['-c', `reflink ${path} 0 ${done * piece} ${length}`, path], { timeout: 30_000 });
  }
  t.is(statSync(path).size, 130 * piece);
  settle(root);
  const packer = newPacker(t, root);
  packer.begin();
  packer.push(inputOf(root, ['huge']));
  const { block } = await packer.next();
  const member = native.parseMember(block ?? Buffer.alloc(0));
  t.is(member.status === 'ok' && member.payload, 130 * piece);
  const listed = spawn('tar', ['-tvf', '-', '--warning=no-unknown-keyword'], { stdio: ['pipe', 'pipe', 'ignore'] });
  listed.stdin.on('error', () => undefined);
  listed.stdin.end(block);
  const said: string[] = [];
  for await (const data of listed.stdout) said.push(String(data));
  t.regex(said.join(''), new RegExp(` ${130 * piece} .* huge\n`));
  await packer.abort();
});

test('improper use is refused', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(join(root, 'file'), 'x');
  const input = inputOf(root, ['file']);
  const packer = newPacker(t, root);
  t.throws(() => packer.push(input), { code: 'EINVAL' });
  t.throws(() => packer.end(), { code: 'EINVAL' });
  await t.throwsAsync(packer.next(), { code: 'EINVAL' });
  packer.begin();
  t.throws(() => packer.begin(), { code: 'EINVAL' });
  t.throws(() => packer.push({ ...input, count: 2 }), { instanceOf: RangeError });
  t.throws(() => packer.push({ ...input, dir: Uint32Array.of(1) }), { instanceOf: RangeError });
  t.throws(() => packer.push({ ...input, nameEnd: Uint32Array.of(5) }), { instanceOf: RangeError });
  packer.push(input);
  packer.end();
  t.throws(() => packer.push(input), { code: 'EINVAL' });
  const { block } = await packer.next();
  t.throws(() => packer.release(Buffer.alloc(2 ** 20)), { code: 'EINVAL' });
  packer.release(block ?? Buffer.alloc(0));
  t.throws(() => packer.release(block ?? Buffer.alloc(0)), { code: 'EINVAL' });
  t.is((await packer.next()).block, null);
  await packer.abort();
  packer.close();
  packer.close();
  t.throws(() => packer.begin(), { code: 'EINVAL' });
  t.throws(() => new native.Packer({ mountFd: -1, blockSize: 1000, objectPrefix }), { instanceOf: RangeError });
  t.throws(() => new native.Packer({ mountFd: -1, blockSize: 2 ** 20, objectPrefix: Buffer.alloc(7) }), { instanceOf: TypeError });
});

test('names that lead elsewhere are not followed', async (t) => {
  const root = await temporaryFolder(t);
  mkdirSync(join(root, 'inside'));
  writeFileSync(join(root, 'outside'), 'x');
  for (const [dir, name] of [['', '../outside'], ['..', 'outside'], ['inside/..', 'outside'], ['', '..'], ['', ''], ['/etc', 'passwd'], ['', 'in\0side']] as const) {
    const bytes = Buffer.from(name);
    const { rows } = await pack(newPacker(t, join(root, 'inside')), [
      { count: 1, dir: Uint32Array.of(0), dirs: [Buffer.from(dir)], names: bytes, nameEnd: Uint32Array.of(bytes.length), ino: Float64Array.of(0) },
    ]);
    t.true((rows[0]?.status ?? 0) < 0 || rows[0]?.status === packStatus.gone, `${dir} ${name}: ${rows[0]?.status}`);
  }
});

test('a process that ends in the middle of a container exits cleanly', (t) => {
  const script = `
    import { native } from '${join(import.meta.dirname, '../../src/native/index.ts')}';
    import { openSync } from 'node:fs';
    const packer = new native.Packer({ mountFd: openSync('/', 'r'), blockSize: 2 ** 20, objectPrefix: Buffer.alloc(8) });
    packer.begin();
    const name = Buffer.from(process.argv[1]);
    const inos = 500;
    packer.push({ count: inos, dir: new Uint32Array(inos), dirs: [Buffer.alloc(0)], names: Buffer.concat(Array(inos).fill(name)),
      nameEnd: Uint32Array.from({ length: inos }, (_, i) => (i + 1) * name.length), ino: new Float64Array(inos) });
    await packer.next();
    process.exit(7);
  `.replaceAll("mountFd: openSync('/', 'r')", "mountFd: openSync(process.argv[2], 'r')");
  return temporaryFolder(t).then((root) => {
    writeFileSync(join(root, 'file'), seededBytes(1, 900_000));
    for (let i = 0; i < 10; i += 1) {
      const { status, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script, 'file', root], { timeout: 30_000 });
      t.deepEqual([status, signal], [7, null]);
    }
  });
});
