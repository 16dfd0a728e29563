import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { catalogueName, isCatalogueName, isIndexName, newSerial, parseIndex, parseIndexEnd, parseVolumeLabel, volumeHeader, volumeLabel } from '../../src/media/format.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const label = test.macro((t: ExecutionContext, barcode: string, text: string) => {
  t.is(volumeLabel(barcode).toString('latin1'), text);
  t.deepEqual(parseVolumeLabel(Buffer.from(text, 'latin1')), { barcode, serial: null });
});
test('the label of a full barcode', label, '948324L8', `VOL1948324${' '.repeat(14)}HSM${' '.repeat(10)}948324L8${' '.repeat(34)}4`);
test('the label of a short barcode', label, 'A', `VOL1A${' '.repeat(19)}HSM${' '.repeat(10)}A${' '.repeat(41)}4`);

const noBarcode = test.macro((t: ExecutionContext, barcode: string) => {
  t.throws(() => volumeLabel(barcode), { code: 'EINVAL' });
});
test('a barcode in small letters is refused', noBarcode, 'v00001l9');
test('an empty barcode is refused', noBarcode, '');
test('a barcode of nine characters is refused', noBarcode, 'V00001L90');
test('a barcode with a newline is refused', noBarcode, 'V0001\n');

const noLabel = test.macro((t: ExecutionContext, change: (label: Buffer) => Buffer) => {
  t.is(parseVolumeLabel(change(volumeLabel('V00001L9'))), null);
});
test('another identifier in the label is not ours', noLabel, (bytes) => put(bytes, 0, 'HDR1'));
test('a label of which the two names differ is not ours', noLabel, (bytes) => put(bytes, 4, 'X'));
test('an LTFS label is not ours', noLabel, (bytes) => put(bytes, 24, 'LTFS'));
test('a label of another length is not ours', noLabel, (bytes) => Buffer.concat([bytes, Buffer.from(' ')]));
test('a label with something in a free place is not ours', noLabel, (bytes) => put(bytes, 70, 'x'));
test('a label with a serial of other characters is not ours', noLabel, (bytes) => put(bytes, 60, 'x'));

test('the label bears the serial of this labelling', (t) => {
  const serial = newSerial();
  t.regex(serial, /^[0-9A-F]{16}$/);
  t.not(newSerial(), serial);
  const bytes = volumeLabel('V00001L9', serial);
  t.is(bytes.toString('latin1', 51, 67), serial);
  t.deepEqual(parseVolumeLabel(bytes), { barcode: 'V00001L9', serial });
});

function put(bytes: Buffer, at: number, text: string): Buffer {
  bytes.write(text, at, 'latin1');
  return bytes;
}

test('the page fits its block and a screen, and names its volume', (t) => {
  const [first, page] = volumeHeader('948324L8');
  t.is(first.length, 80);
  t.is(page.length, 3584);
  const text = page.toString('latin1');
  t.regex(text, /^This is volume 948324L8 /);
  t.true(text.trimEnd().length < 3584, 'the page is cut');
  for (const line of text.split('\n')) t.true(line.length <= 78, line);
  // Nothing but printable ASCII and newlines.
  t.regex(text, /^[\x20-\x7e\n]+$/);
});

test('the commands of the page are good shell', async (t) => {
  const root = await temporaryFolder(t);
  const commands = [...volumeHeader('948324L8')[1].toString('latin1').matchAll(/^ {2}(?:mt|dd|tar|tail) .*(?:\\\n.*)*$/gm)].map(([command]) => command);
  t.is(commands.length, 6);
  writeFileSync(join(root, 'script'), commands.join('\n'));
  execFileSync('sh', ['-n', join(root, 'script')], { timeout: 10_000 });
});

test('names of catalogue dumps sort by time', (t) => {
  const dates = ['2026-01-02T03:04:05.678Z', '2026-01-02T03:04:06Z', '2026-11-30T00:00:00Z', '2027-01-01T00:00:00Z'];
  const names = dates.map((date) => catalogueName(new Date(date)));
  t.is(names[0], '.hsm/catalogue-20260102T030405Z.db');
  t.deepEqual(names, names.toSorted());
  for (const name of names) t.true(isCatalogueName(Buffer.from(name)));
  t.false(isCatalogueName(Buffer.from('x/.hsm/catalogue-20260102T030405Z.db')));
});

test('only a name of the index form is an index', (t) => {
  t.true(isIndexName(Buffer.from(`.hsm/index-${'0'.repeat(32)}.jsonl`)));
  for (const name of [`x.hsm/index-${'0'.repeat(32)}.jsonl`, '.hsm/index-.jsonl', `.hsm/index-${'0'.repeat(32)}.jsonl/x`]) t.false(isIndexName(Buffer.from(name)), name);
});

const file = { name: 'a', offset: 0, length: 2048, header: 1536, size: 1, object: 'ab'.repeat(16), sha256: 'cd'.repeat(32), mtimeNs: '-5', handle: '0100' };
const end = (members: number): object => ({ format: 'hsm-index-end', offset: 4096, members });
const lines = (...each: readonly object[]): Buffer => Buffer.from(each.map((line) => `${JSON.stringify(line)}\n`).join(''));

test('files, links and void members are told apart', (t) => {
  const link = { name: 'b', offset: 2048, length: 1536, header: 1536, size: 1, object: 'ab'.repeat(16), link: 'x', linkBase64: '/w==' };
  const entries = parseIndex(lines(file, link, { ...link, link: undefined, linkBase64: undefined, void: 'EIO' }, end(3)));
  t.deepEqual(
    entries.map(({ kind, link: target, reason }) => [kind, target, reason]),
    [
      ['file', null, null],
      ['link', Buffer.from([0xff]), null],
      ['void', null, 'EIO'],
    ],
  );
  const [first] = entries;
  t.deepEqual([first?.mtimeNs, first?.handle, first?.sha256], [-5n, '0100', Buffer.alloc(32, 0xcd)]);
});

const damaged = test.macro((t: ExecutionContext, payload: Buffer) => {
  t.throws(() => parseIndex(payload), { code: 'BAD_INDEX' });
});
test('an index without its last line is damaged', damaged, lines(file));
test('an index that lacks a line is damaged', damaged, lines(file, end(2)));
test('an index with lines after its end is damaged', damaged, lines(end(0), file));
test('an empty index is damaged', damaged, Buffer.alloc(0));
test('an index that ends within a line is damaged', damaged, lines(file, end(1)).subarray(0, -1));
test('a line that is not JSON is damage', damaged, Buffer.concat([Buffer.from('{"name"\n'), lines(end(1))]));
test('a line that is no object is damage', damaged, Buffer.concat([Buffer.from('5\n'), lines(end(1))]));
test('a negative offset is damage', damaged, lines({ ...file, offset: -1 }, end(1)));
test('an offset that is text is damage', damaged, lines({ ...file, offset: '0' }, end(1)));
test('a short object id is damage', damaged, lines({ ...file, object: 'ab' }, end(1)));
test('a hash that is no hex is damage', damaged, lines({ ...file, sha256: 'zz'.repeat(32) }, end(1)));
test('a file without its hash is damage', damaged, lines({ ...file, sha256: undefined }, end(1)));
test('a time that is no number is damage', damaged, lines({ ...file, mtimeNs: '1e9' }, end(1)));
test('a member without a name is damage', damaged, lines({ ...file, name: undefined }, end(1)));

test('the end of an index is found before the zeros of the last blocks', (t) => {
  const tail = Buffer.concat([Buffer.from('rest of a line}\n'), lines(end(7)), Buffer.alloc(5000)]);
  t.deepEqual(parseIndexEnd(tail), { offset: 4096, members: 7, filesystem: null });
  t.deepEqual(parseIndexEnd(lines(end(7))), { offset: 4096, members: 7, filesystem: null });
  t.is(parseIndexEnd(Buffer.alloc(5000)), null);
  t.is(parseIndexEnd(Buffer.alloc(0)), null);
  t.is(parseIndexEnd(lines(file)), null);
  t.is(parseIndexEnd(Buffer.concat([lines(end(7)), Buffer.from('x')])), null);
  t.is(parseIndexEnd(Buffer.from('{"format":"hsm-index-end","offset":-4,"members":1}\n')), null);
});
