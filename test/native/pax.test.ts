import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { native, type ParsedMember } from '../../src/native/index.ts';
import { inputOf, newPacker, pack } from '../fixtures/pack.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

type Parsed = Extract<ParsedMember, { status: 'ok' }>;

/** A member with these records, made here, byte by byte. */
function member(records: readonly (readonly [key: string, value: string | Buffer])[], header: { size?: number; type?: string; name?: string } = {}): Buffer {
  const body = Buffer.concat(records.map(([key, value]) => record(key, Buffer.from(value))));
  return Buffer.concat([ustar('PaxHeaders/member', 'x', body.length), pad(body), ustar(header.name ?? 'name', header.type ?? '0', header.size ?? 0)]);
}

function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function ustar(name: string, type: string, size: number): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0, 'utf8');
  header.write('0000644\0', 100, 'latin1');
  header.write('0000000\0', 108, 'latin1');
  header.write('0000000\0', 116, 'latin1');
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write('00000000000\0', 136, 'latin1');
  header.write('        ', 148, 'latin1');
  header.write(type, 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

const pad = (data: Buffer): Buffer => Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)]);

function parsed(t: ExecutionContext, data: Buffer): Parsed {
  const found = native.parseMember(data);
  if (found.status !== 'ok') throw new Error(`it is ${found.status}`);
  t.is(found.headerLength, data.length);
  return found;
}

const object = ['HSM.object', '00112233445566778899aabbccddeeff'] as const;

test('records stand above the header', (t) => {
  const found = parsed(t, member([['path', 'é'.repeat(100)], ['size', '9000000000'], ['mtime', '1.5'], object], { size: 0 }));
  t.is(found.name.toString(), 'é'.repeat(100));
  t.is(found.payload, 9_000_000_000);
  t.is(found.size, 9_000_000_000);
  t.is(found.mtimeNs, 1_500_000_000n);
  t.deepEqual(found.object, Buffer.from(object[1], 'hex'));
  t.is(found.sha256, null);
});

test('what the header says holds where there is no record', (t) => {
  const found = parsed(t, member([['mtime', '0']], { size: 77, name: 'n'.repeat(100) }));
  t.deepEqual([found.name.toString(), found.size, found.type, found.sparse, found.object], ['n'.repeat(100), 77, '0', false, null]);
});

test('values may hold any bytes, and unknown keys are passed over', (t) => {
  const value = Buffer.from([0, 10, 0x3d, 0xff, 10]);
  const found = parsed(t, member([['SCHILY.xattr.user.x', value], ['comment', 'LENGTH 5 mtime=1\n'], ['path', Buffer.from([0xff, 0xfe])], object]));
  t.deepEqual(found.name, Buffer.from([0xff, 0xfe]));
});

const times = test.macro((t: ExecutionContext, text: string, ns: bigint) => {
  t.is(parsed(t, member([['mtime', text]])).mtimeNs, ns);
});
test('a time of whole seconds', times, '1700000000', 1_700_000_000_000_000_000n);
test('a time with few places', times, '1.25', 1_250_000_000n);
test('a time with nine places', times, '1.000000001', 1_000_000_001n);
test('a time before 1970', times, '-1.500000000', -1_500_000_000n);
test('a time just before 1970', times, '-0.000000001', -1n);

const refused = test.macro((t: ExecutionContext, data: Buffer) => {
  t.is(native.parseMember(data).status, 'bad');
});
const sparse = [['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'], ['GNU.sparse.name', 's'], ['GNU.sparse.realsize', '10']] as const; // prettier-ignore
test('a member without a pax header is refused', refused, Buffer.concat([ustar('a', '0', 0), Buffer.alloc(1024)]));
test('two pax headers in a row are refused', refused, member([], { type: 'x' }));
test('a directory is refused', refused, member([object], { type: '5' }));
test('a wrong checksum is refused', refused, flip(member([object]), 0));
test('a wrong checksum of the second header is refused', refused, flip(member([object]), 1024));
test('a size that is no number is refused', refused, member([['size', '12x']]));
test('a size of too many digits is refused', refused, member([['size', '9999999999999999999']]));
test('a negative size is refused', refused, member([['size', '-1']]));
test('an object id of the wrong length is refused', refused, member([['HSM.object', 'aabb']]));
test('an object id in capitals is refused', refused, member([['HSM.object', object[1].toUpperCase()]]));
test('a sparse member of another version is refused', refused, member([...sparse.slice(1), ['GNU.sparse.major', '0']]));
test('a sparse member without its size is refused', refused, member(sparse.slice(0, 3)));
test('a hard link with a payload is refused', refused, member([['linkpath', 'a']], { type: '1', size: 1 }));
test('a record that is longer than the header is refused', refused, Buffer.concat([ustar('x', 'x', 10), pad(Buffer.from('99 path=a\n')), ustar('a', '0', 0)]));
test('a record that does not end in a newline is refused', refused, Buffer.concat([ustar('x', 'x', 10), pad(Buffer.from('10 path=ab')), ustar('a', '0', 0)]));
test('a record without a key is refused', refused, Buffer.concat([ustar('x', 'x', 6), pad(Buffer.from('6 =ab\n')), ustar('a', '0', 0)]));
test('a record of length 0 is refused', refused, Buffer.concat([ustar('x', 'x', 9), pad(Buffer.from('0 path=a\n')), ustar('a', '0', 0)]));
test('a pax header beyond all measure is refused before it is read', refused, ustar('x', 'x', 2 ** 22));

function flip(data: Buffer, at: number): Buffer {
  data[at] = (data[at] ?? 0) ^ 1;
  return data;
}

test('a header that is not there as a whole says how much is wanted', (t) => {
  const data = member([object, ['comment', 'c'.repeat(3000)]]);
  t.deepEqual(native.parseMember(data.subarray(0, 100)), { status: 'more', need: 1536 });
  for (const length of [512, 1536, data.length - 1]) t.deepEqual(native.parseMember(data.subarray(0, length)), { status: 'more', need: data.length });
});

test('zeros end the archive', (t) => {
  t.is(native.parseMember(Buffer.alloc(512)).status, 'end');
  t.is(native.parseMember(Buffer.alloc(1024)).status, 'end');
});

test('a sparse member tells both sizes', (t) => {
  const found = parsed(t, member([...sparse, object], { size: 1024, name: 'GNUSparseFile.0/s' }));
  t.deepEqual([found.sparse, found.size, found.payload, found.name.toString()], [true, 10, 1024, 's']);
});

test('the length of a record counts its own digits', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(join(root, 'file'), 'x');
  const packer = newPacker(t, root);
  // Records of 90 to 110 bytes and of 990 to 1010: where the count gets another digit.
  for (const from of [60, 960]) {
    for (let length = from; length < from + 45; length += 1) {
      native.setxattr(join(root, 'file'), 'user.x', Buffer.alloc(length, 'v'));
      const { container } = await pack(packer, [inputOf(root, ['file'])]);
      t.is(native.parseMember(container).status, 'ok');
      const text = container.toString('latin1', 512, 4096);
      const [whole, digits] = /(\d+) SCHILY\.xattr\.user\.x=v+\n/.exec(text) ?? [];
      t.is(whole?.length, Number(digits));
    }
  }
});

test('any flipped bit of a header shows', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(join(root, 'ü'), 'x');
  native.setxattr(join(root, 'ü'), 'user.x', Buffer.from('value'));
  const { container, rows } = await pack(newPacker(t, root), [inputOf(root, ['ü'])]);
  const header = container.subarray(0, rows[0]?.headerLength ?? 0);
  const whole = native.parseMember(header);
  t.true(whole.status === 'ok' && whole.intact);
  for (let bit = 0; bit < header.length * 8; bit += 1) {
    header[bit >> 3] = (header[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const found = native.parseMember(header);
    t.false(found.status === 'ok' && found.intact, `bit ${bit}`);
    header[bit >> 3] = (header[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  }
});

test('GNU tar puts back the times that the header gives', async (t) => {
  const root = await temporaryFolder(t);
  const times = [-1_000_000.75, -0.25, 0, 0.5, 4_000_000_000.125, 9_999_999_999];
  const paths = times.map((time, i) => {
    writeFileSync(join(root, `f${i}`), 'x');
    utimesSync(join(root, `f${i}`), time, time);
    return `f${i}`;
  });
  const { container } = await pack(newPacker(t, root), [inputOf(root, paths)]);
  const out = mkdtempSync(join(root, 'out-'));
  writeFileSync(join(root, '.tar'), container);
  execFileSync('tar', ['-xf', join(root, '.tar'), '-C', out, '--warning=no-unknown-keyword', '--warning=no-timestamp'], { timeout: 30_000 });
  for (const path of paths) {
    t.is(statSync(join(out, path), { bigint: true }).mtimeNs, statSync(join(root, path), { bigint: true }).mtimeNs, path);
    t.true(readFileSync(join(out, path)).equals(readFileSync(join(root, path))));
  }
});
