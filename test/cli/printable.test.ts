import { spawnSync } from 'node:child_process';
import test from 'ava';
import { jsonLine } from '../../src/cli/output.ts';
import { oneLine, printable } from '../../src/cli/printable.ts';

const nasty: readonly Buffer[] = [
  Buffer.from('two\nlines'),
  Buffer.from('\x1b]0;title\x07\x1b[31mred'),
  Buffer.from('caf\xe9 \xff\xfe', 'latin1'),
  Buffer.from("it's a \\ 'quote'\t"),
  Buffer.from('c1 \u009b31m'),
  Buffer.from('right \u202eto left'),
  Buffer.from('cut \xf0\x9f\x98', 'latin1'),
  Buffer.from('surrogate \xed\xa0\x80', 'latin1'),
  Buffer.from('ünïcode\u2028sep'),
];

test('harmless names stay as they are', (t) => {
  for (const name of ['plain.txt', 'with space', "it's", 'ünïcødé', '日本語', '😀', 'back\\slash', '$HOME', '']) t.is(printable(name), name);
});

test('no control, invalid byte or direction mark gets through', (t) => {
  for (const name of nasty) t.notRegex(printable(name), /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\ufffd]/u);
});

test('an escaped name is a word that bash turns back into the same bytes', (t) => {
  for (const name of nasty) {
    const { stdout } = spawnSync('bash', ['-c', `printf %s ${printable(name)}`], { timeout: 10_000 });
    t.deepEqual(stdout, name);
  }
});

test('a message is one line', (t) => {
  t.is(oneLine('a\nb\x1b[1m\u202e'), 'a\\nb\\e[1m\\xe2\\x80\\xae');
});

test('JSON stays the same value and has nothing that a terminal obeys', (t) => {
  const value = { name: 'a\u009b31m\u202eb\u2028\u007f', deep: ['\x1b'] };
  t.deepEqual(JSON.parse(jsonLine(value)), value);
  t.notRegex(jsonLine(value), /[\p{Cc}\p{Bidi_Control}\p{Zl}]/u);
});
