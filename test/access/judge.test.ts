import test from 'ava';
import { isExpected, judge, type Shown } from '../../src/access/judge.ts';

const bytes = Buffer.from('the bytes of the file');
const good: Shown = { exitCode: 0, timedOut: false, stdout: bytes, stderr: '', expected: bytes, left: { seen: [bytes, bytes], expected: bytes, original: bytes }, stub: { before: true, after: false } };

const resultOf = (change: Partial<Shown>, recalls = true): string => judge({ recalls }, { ...good, ...change }).result;

test('the right bytes of what was a stub are right', (t) => {
  t.deepEqual(judge({}, good), { result: 'right', reason: null });
});

test('any other byte is wrong, whatever the exit code', (t) => {
  const zeros = Buffer.alloc(bytes.length);
  t.is(resultOf({ stdout: zeros }), 'wrong');
  t.is(resultOf({ stdout: zeros, exitCode: 1 }), 'wrong');
  t.is(resultOf({ stdout: zeros, exitCode: 77 }), 'wrong');
  t.is(resultOf({ stdout: Buffer.concat([bytes, zeros]), exitCode: 1 }), 'wrong');
  t.is(resultOf({ left: { seen: [bytes, zeros], expected: bytes, original: bytes } }), 'wrong');
});

test('a short read that counts as success is wrong, one that ends with an error is refused', (t) => {
  t.is(resultOf({ stdout: bytes.subarray(0, 5) }), 'wrong');
  t.is(resultOf({ stdout: bytes.subarray(0, 5), exitCode: 1, stub: { before: true, after: true } }), 'refused');
});

test('an error may leave the file as it was, or as it should become, and nothing else', (t) => {
  const changed = Buffer.from('changed');
  const left = (seen: Buffer) => ({ exitCode: 1, stdout: Buffer.alloc(0), left: { seen: [seen], expected: changed, original: bytes } });
  t.is(resultOf(left(bytes)), 'refused');
  t.is(resultOf(left(changed)), 'refused');
  t.is(resultOf(left(Buffer.from('chan'))), 'wrong');
  t.is(resultOf({ ...left(bytes), exitCode: 0, expected: Buffer.alloc(0) }), 'wrong');
});

test('a file that cannot be read afterwards was refused, unless what was read before is wrong', (t) => {
  const left = { seen: [], expected: bytes, original: bytes, error: 'EIO' };
  t.is(resultOf({ left }), 'refused');
  t.is(resultOf({ left, stdout: Buffer.alloc(bytes.length) }), 'wrong');
});

test('what touched no stub proves nothing', (t) => {
  t.is(resultOf({ stub: { before: false, after: false } }), 'untested');
  t.is(resultOf({ stub: { before: true, after: true } }), 'untested');
  t.is(resultOf({ stub: { before: true, after: true } }, false), 'right');
  t.is(resultOf({}, false), 'untested');
});

test('a time limit and a missing tool are told apart', (t) => {
  t.is(resultOf({ timedOut: true, exitCode: null }), 'hung');
  t.deepEqual(judge({}, { ...good, exitCode: 77, stdout: Buffer.alloc(0), stderr: 'first\nFICLONE: EOPNOTSUPP\n' }), { result: 'unavailable', reason: 'FICLONE: EOPNOTSUPP' });
});

test('a case expects the bytes, or an error where its table says so', (t) => {
  t.true(isExpected({}, { result: 'right', reason: null }));
  t.false(isExpected({}, { result: 'refused', reason: 'EIO' }));
  t.true(isExpected({ refused: 'why' }, { result: 'refused', reason: 'EPERM' }));
  t.false(isExpected({ refused: 'why' }, { result: 'right', reason: null }));
});
