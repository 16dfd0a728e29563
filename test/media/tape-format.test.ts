/** Holds docs/tape-format.md against volumes that hsm writes, with readers that know nothing of hsm. */
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, linkSync, lstatSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { firstContainerAddress, labelVolume } from '../../src/media/containers.ts';
import { volumeHeader } from '../../src/media/format.ts';
import { loadVirtualCartridge } from '../../src/media/virtual-cartridge.ts';
import { native, packStatus } from '../../src/native/index.ts';
import { newCartridge } from '../fixtures/cartridge.ts';
import { collect, inputOf, newPacker, objectPrefix, pack, rowsOf, type PackedRow } from '../fixtures/pack.ts';
import { seededBytes } from '../fixtures/random.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const script = join(import.meta.dirname, '../fixtures/restore-by-hand.sh');
const doc = readFileSync(join(import.meta.dirname, '../../docs/tape-format.md'), 'utf8');
const mebibyte = 2 ** 20;

/** A cartridge with these containers, unloaded; its .tap. */
async function cartridgeOf(t: ExecutionContext, containers: readonly Buffer[]): Promise<string> {
  const files = await newCartridge(t, 2 ** 28, '948324L8');
  const medium = await loadVirtualCartridge(files);
  await labelVolume(medium);
  for (const container of containers) {
    for (let at = 0; at < container.length; at += mebibyte) await medium.writeBlock(container.subarray(at, at + mebibyte));
    await medium.writeFilemark({ sync: true });
  }
  await medium.unload();
  return files.tap;
}

/** The blocks of a .tap by tape file, read as the page on the volume says. */
function tapeFiles(tap: Buffer): Buffer[][] {
  const files: Buffer[][] = [[]];
  for (let at = 0; at < tap.length; ) {
    const length = tap.readUInt32LE(at);
    at += 4;
    if (length === 0) {
      files.push([]);
      continue;
    }
    files.at(-1)?.push(tap.subarray(at, at + length));
    at += length + (length % 2);
    if (tap.readUInt32LE(at) !== length) throw new Error('the lengths differ');
    at += 4;
  }
  return files;
}

const restore = (tap: string, folder: string): string => execFileSync('sh', [script, tap, folder], { timeout: 60_000, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

test('a whole cartridge is restored with a header stripper and GNU tar', async (t) => {
  const root = await temporaryFolder(t);
  mkdirSync(join(root, 'd'));
  const paths: (string | Buffer)[] = ['a', 'd/ünï', Buffer.from([0x64, 0x2f, 0xff]), 'd/large', 'd/link', 'd/sparse', '-x', 'new\nline'];
  const at = (path: string | Buffer): Buffer => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path)]);
  for (const [i, path] of paths.entries()) {
    if (path !== 'd/link' && path !== 'd/sparse') writeFileSync(at(path), seededBytes(i, path === 'd/large' ? 3_000_001 : 1000 + i));
  }
  linkSync(at('a'), at('d/link'));
  const sparse = openSync(at('d/sparse'), 'w');
  ftruncateSync(sparse, 5_000_000);
  writeSync(sparse, 'data', 1_000_000);
  closeSync(sparse);
  native.setxattr(at('a'), 'user.x', Buffer.from('value'));
  execFileSync('setfacl', ['-m', 'u:4242:r', join(root, 'a')], { timeout: 10_000 });
  const packer = newPacker(t, root);
  const first = await pack(packer, [inputOf(root, paths)]);
  // A newer version of one of them, and a dump, in containers of their own.
  writeFileSync(at('d/ünï'), 'newer');
  const second = await pack(packer, [inputOf(root, ['d/ünï'])]);
  packer.begin();
  packer.pushFile('.hsm/catalogue-20260102T030405Z.db', join(root, 'd/large'));
  packer.end();
  const third = await collect(packer);
  const out = join(root, 'out');
  t.is(restore(await cartridgeOf(t, [first.container, second.container, third.container]), out), '');
  for (const path of paths) {
    const restored = Buffer.concat([Buffer.from(`${out}/`), Buffer.from(path)]);
    t.true(readFileSync(restored).equals(readFileSync(at(path))), String(path));
    const [is, was] = [lstatSync(restored, { bigint: true }), lstatSync(at(path), { bigint: true })];
    t.deepEqual([is.mode, is.uid, is.gid, is.mtimeNs, is.nlink], [was.mode, was.uid, was.gid, was.mtimeNs, was.nlink], String(path));
    t.deepEqual(native.listxattr(restored), native.listxattr(at(path)));
  }
  t.true(statSync(join(out, 'd/sparse')).blocks < 2000);
  t.true(existsSync(join(out, '.hsm/catalogue-20260102T030405Z.db')));
});

test('a void member is left out by hand, and an older version of its file stays', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(join(root, 'big'), seededBytes(1, 2_000_000));
  writeFileSync(join(root, 'odd\nname'), seededBytes(1, 2_000_000));
  writeFileSync(join(root, 'after'), 'after');
  const old = await pack(newPacker(t, root), [inputOf(root, ['big', 'odd\nname'])]);
  const kept = readFileSync(join(root, 'big'));
  for (const name of ['big', 'odd\nname']) writeFileSync(join(root, name), seededBytes(2, 20 * mebibyte));
  const packer = newPacker(t, root);
  packer.begin();
  packer.push(inputOf(root, ['big', 'odd\nname', 'after']));
  packer.end();
  const blocks: Buffer[] = [];
  const rows: PackedRow[] = [];
  for (let change = 0; ; change += 1) {
    const { block, members } = await packer.next();
    rows.push(...rowsOf(members));
    if (block === null) break;
    blocks.push(Buffer.from(block));
    if (change < 30) writeFileSync(join(root, change < 15 ? 'big' : 'odd\nname'), 'x', { flag: 'a' });
    packer.release(block);
  }
  t.deepEqual(
    rows.map(({ status }) => status),
    [packStatus.changed, packStatus.changed, packStatus.packed],
  );
  const out = join(root, 'out');
  restore(await cartridgeOf(t, [old.container, Buffer.concat(blocks)]), out);
  t.true(readFileSync(join(out, 'big')).equals(kept));
  t.true(readFileSync(join(out, 'odd\nname')).equals(kept));
  t.is(readFileSync(join(out, 'after'), 'utf8'), 'after');
});

test('of a container that was cut short the whole members are restored by hand', async (t) => {
  const root = await temporaryFolder(t);
  const paths = ['first', 'cut', 'never'];
  for (const [i, path] of paths.entries()) writeFileSync(join(root, path), seededBytes(i, 1_500_000));
  const old = await pack(newPacker(t, root), [inputOf(root, ['cut'])]);
  const { container } = await pack(newPacker(t, root), [inputOf(root, paths)]);
  const out = join(root, 'out');
  restore(await cartridgeOf(t, [old.container, container.subarray(0, 2 * mebibyte), old.container]), out);
  for (const path of ['first', 'cut']) t.true(readFileSync(join(out, path)).equals(readFileSync(join(root, path))), path);
  t.false(existsSync(join(out, 'never')));
  const half = join(root, 'half');
  restore(await cartridgeOf(t, [container.subarray(0, 2 * mebibyte)]), half);
  t.true(readFileSync(join(half, 'first')).equals(readFileSync(join(root, 'first'))));
  t.false(existsSync(join(half, 'cut')));
});

test('a volume has the tape files, blocks and fields that the document gives', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(join(root, 'file'), seededBytes(1, 5000));
  writeFileSync(join(root, 'large'), seededBytes(2, 2_500_000));
  const { container, rows } = await pack(newPacker(t, root), [inputOf(root, ['file', 'large'])]);
  const [header, first, last] = tapeFiles(readFileSync(await cartridgeOf(t, [container])));
  t.deepEqual(
    header?.map(({ length }) => length),
    [80, 3584],
  );
  const serial = header?.[0]?.toString('latin1', 51, 67) ?? '';
  t.regex(serial, /^[0-9A-F]{16}$/);
  t.deepEqual(header?.[0], volumeHeader('948324L8', serial)[0]);
  t.deepEqual(first?.map(({ length }) => length), [mebibyte, mebibyte, mebibyte]); // prettier-ignore
  t.deepEqual(last, []);
  t.is(firstContainerAddress, (header?.length ?? 0) + 1);

  const bytes = Buffer.concat(first ?? []);
  const field = (offset: number, at: number, length: number): string => bytes.toString('latin1', offset + at, offset + at + length);
  t.is(field(0, 0, 19), 'PaxHeaders/member\0\0');
  t.is(field(0, 156, 1), 'x');
  t.is(field(0, 257, 8), 'ustar\x0000');
  const records = parseRecords(bytes.subarray(512, 512 + parseInt(field(0, 124, 11), 8)));
  t.deepEqual([...records.keys()], ['mtime', 'atime', 'ctime', 'HSM.object', 'HSM.sha256', 'HSM.handle', 'HSM.crc32c']);
  t.is(records.get('HSM.object')?.slice(0, 16), objectPrefix.toString('hex'));
  t.is(records.get('HSM.sha256'), createHash('sha256').update(readFileSync(join(root, 'file'))).digest('hex')); // prettier-ignore
  const { mtimeNs, mode, uid } = statSync(join(root, 'file'), { bigint: true });
  t.is(records.get('mtime'), `${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, '0')}`);
  t.is(field(1024, 0, 5), 'file\0');
  t.is(parseInt(field(1024, 100, 7), 8), Number(mode) & 0o7777);
  t.is(parseInt(field(1024, 108, 7), 8), Number(uid));
  t.is(parseInt(field(1024, 124, 11), 8), 5000);
  t.is(field(1024, 156, 1), '0');
  t.is(field(1024, 265, 64), '\0'.repeat(64), 'user and group names are empty');
  const header512 = Buffer.from(bytes.subarray(0, 1536));
  const crc = records.get('HSM.crc32c') ?? '';
  header512.write('00000000', header512.indexOf(`HSM.crc32c=${crc}`) + 11, 'latin1');
  t.is(crc, native.crc32c(header512).toString(16).padStart(8, '0'));
  t.deepEqual(bytes.subarray(1536, 6536), readFileSync(join(root, 'file')));
  t.true(bytes.subarray(6536, 6656).every((byte) => byte === 0));
  t.is(rows[1]?.offset, 6656);
  t.deepEqual([...parseRecords(bytes.subarray(6656 + 512, 6656 + 512 + parseInt(field(6656, 124, 11), 8))).keys()], ['mtime', 'atime', 'ctime', 'HSM.object', 'HSM.handle', 'HSM.crc32c']);

  const text = bytes.toString('latin1').replace(/\0+$/, '');
  t.true(bytes.length - text.length >= 1024);
  const end = JSON.parse(text.slice(text.lastIndexOf('\n', text.length - 2) + 1)) as { format: string; offset: number; members: number };
  t.is(end.format, 'hsm-index-end');
  t.is(end.members, 2);
  t.is(end.offset, (rows[1]?.offset ?? 0) + (rows[1]?.length ?? 0));
  t.is(field(end.offset + 1024, 0, 60), `.hsm/index-${rows[0]?.objectId.toString('hex')}.jsonl`.padEnd(60, '\0'));
  t.is(bytes.length % mebibyte, 0);
});

function parseRecords(text: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < text.length; ) {
    const length = parseInt(text.toString('latin1', at, at + 10), 10);
    const record = text.toString('latin1', at, at + length);
    const [, key, value] = /^\d+ ([^=]+)=([^]*)\n$/.exec(record) ?? [];
    if (key === undefined || value === undefined) throw new Error(`no record: ${record}`);
    records.set(key, value);
    at += length;
  }
  return records;
}

test('every key that can be on tape is in the document, and the other way round', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff])]), 'x');
  writeFileSync(join(root, 'a'), 'x');
  writeFileSync(join(root, 'ü'), 'x');
  linkSync(join(root, 'ü'), join(root, 'link'));
  const sparse = openSync(join(root, 'sparse'), 'w');
  ftruncateSync(sparse, 500_000);
  writeSync(sparse, 'x', 0);
  closeSync(sparse);
  native.setxattr(join(root, 'a'), 'user.x', Buffer.from('y'));
  execFileSync('setfacl', ['-m', 'u:4242:r', join(root, 'a')], { timeout: 10_000 });
  execFileSync('chown', ['3000000:3000000', join(root, 'a')], { timeout: 10_000 });
  const { container, rows } = await pack(newPacker(t, root), [inputOf(root, [Buffer.from([0xff]), 'a', 'ü', 'link', 'sparse'])]);
  const found = new Set<string>();
  const index = (rows.at(-1)?.offset ?? 0) + (rows.at(-1)?.length ?? 0);
  for (const offset of [...rows.map((row) => row.offset), index]) {
    const length = parseInt(container.toString('latin1', offset + 124, offset + 135), 8);
    for (const key of parseRecords(container.subarray(offset + 512, offset + 512 + length)).keys()) found.add(key.replace(/^(SCHILY\.xattr\.).*/, '$1NAME'));
  }
  const table = /Records, in this order[^]*?\n\n([^]*?)\n\n/.exec(doc)?.[1] ?? '';
  const documented = [...table.matchAll(/^\| ((?:`[^`]+`(?:, )?)+) \|/gm)].flatMap(([, keys]) => [...(keys ?? '').matchAll(/`([^`]+)`/g)].map(([, key]) => key ?? ''));
  // No file here is of 8 GiB, and only folders have a default ACL.
  const elsewhere = ['size', 'SCHILY.acl.default'];
  t.deepEqual([...found].sort(), documented.filter((key) => !elsewhere.includes(key)).sort());
  for (const key of elsewhere) t.true(documented.includes(key));
  const firstMembers = [...parseRecords(container.subarray(512, 512 + parseInt(container.toString('latin1', 124, 135), 8))).keys()];
  t.deepEqual(firstMembers, documented.filter((key) => firstMembers.includes(key))); // prettier-ignore
});

test('the keys of an index line are those of the document', async (t) => {
  const root = await temporaryFolder(t);
  const odd = Buffer.from([0x78, 0xff]);
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), odd]), 'x');
  linkSync(Buffer.concat([Buffer.from(`${root}/`), odd]), join(root, 'link'));
  const sparse = openSync(join(root, 'sparse'), 'w');
  ftruncateSync(sparse, 500_000);
  writeSync(sparse, 'x', 0);
  closeSync(sparse);
  const { container, rows } = await pack(newPacker(t, root), [inputOf(root, [odd, 'link', 'sparse'])]);
  const at = (rows[2]?.offset ?? 0) + (rows[2]?.length ?? 0);
  const member = native.parseMember(container.subarray(at));
  if (member.status !== 'ok') return t.fail();
  const lines = container.toString('utf8', at + member.headerLength, at + member.headerLength + member.payload).trimEnd().split('\n'); // prettier-ignore
  const keys = new Set(lines.slice(0, -1).flatMap((line) => Object.keys(JSON.parse(line) as object)));
  const table = /A line of JSON for every member in order:\n\n([^]*?)\n\n/.exec(doc)?.[1] ?? '';
  const documented = [...table.matchAll(/^\| ((?:`[^`]+`(?:, )?)+) \|/gm)].flatMap(([, names]) => [...(names ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? ''));
  t.deepEqual([...keys].sort(), documented.filter((key) => key !== 'void').sort()); // prettier-ignore
  t.deepEqual(JSON.parse(lines.at(-1) ?? ''), { format: 'hsm-index-end', offset: at, members: 3 });
});

test('the map of a sparse file is text that ends with its size', async (t) => {
  const root = await temporaryFolder(t);
  const fd = openSync(join(root, 'sparse'), 'w');
  ftruncateSync(fd, 300_000);
  writeSync(fd, Buffer.alloc(4096, 'a'), 0, 4096, 131_072);
  closeSync(fd);
  const { container, rows } = await pack(newPacker(t, root), [inputOf(root, ['sparse'])]);
  const start = rows[0]?.headerLength ?? 0;
  t.is(container.toString('latin1', start, start + 512), '2\n131072\n4096\n300000\n0\n'.padEnd(512, '\0'));
  t.is(container.toString('latin1', start + 512, start + 512 + 4096), 'a'.repeat(4096));
  t.is(rows[0]?.length, start + 512 + 4096);
});
