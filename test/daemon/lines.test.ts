import test from 'ava';
import { LineSplitter } from '../../src/daemon/lines.ts';

test('lines come out whole however the bytes arrive', (t) => {
  const bytes = Buffer.from('one\n\ntwo three\nünï\n');
  for (let step = 1; step <= bytes.length; step += 1) {
    const splitter = new LineSplitter(100);
    const lines: string[] = [];
    for (let at = 0; at < bytes.length; at += step) lines.push(...splitter.push(bytes.subarray(at, at + step)).map(String));
    t.deepEqual(lines, ['one', '', 'two three', 'ünï'], `in steps of ${step}`);
  }
});

test('a line without its end is kept until the end comes', (t) => {
  const splitter = new LineSplitter(100);
  t.deepEqual(splitter.push(Buffer.from('a')), []);
  t.deepEqual(splitter.push(Buffer.from('b\nc')).map(String), ['ab']);
});

test('a line of the greatest length passes, one byte more is LINE_TOO_LONG', (t) => {
  const line = Buffer.alloc(1000, 0x61);
  t.is(new LineSplitter(1000).push(Buffer.concat([line, Buffer.from('\n')]))[0]?.length, 1000);
  t.throws(() => new LineSplitter(999).push(line), { code: 'LINE_TOO_LONG' });
});

test('a million single bytes cost no more than the line', (t) => {
  const splitter = new LineSplitter(2 ** 20);
  const byte = Buffer.from('x');
  for (let i = 0; i < 1_000_000; i += 1) splitter.push(byte);
  t.is(splitter.push(Buffer.from('\n'))[0]?.length, 1_000_000);
});
