import test, { type ExecutionContext } from 'ava';
import { formatDuration, formatSize, parseAge, parseSize } from '../src/units.ts';

const table = <I, O>(parse: (input: I) => O) =>
  test.macro({
    exec: (t: ExecutionContext, cases: readonly (readonly [I, O])[]) => {
      for (const [input, output] of cases) t.is(parse(input), output, String(input));
    },
    title: (what) => what ?? '',
  });

test('ages are a number and a unit', table(parseAge), [
  ['10s', 10],
  ['30m', 1800],
  ['12h', 43_200],
  ['90d', 7_776_000],
  ['2w', 1_209_600],
  ['18mo', 18 * 2_629_746],
  ['4y', 4 * 31_556_952],
  ['1.5h', 5400],
  ['0s', 0],
  ['0', 0],
]);

test('what is no age is null', table(parseAge), [
  ['', null],
  ['4', null],
  ['y', null],
  ['-4y', null],
  ['4Y', null],
  ['4 y', null],
  ['4y2d', null],
  ['1e3s', null],
  ['4years', null],
  [`${'9'.repeat(400)}y`, null],
]);

test('sizes are powers of two, or of ten with a B', table(parseSize), [
  ['0', 0],
  ['512', 512],
  ['512B', 512],
  ['512K', 524_288],
  ['1M', 1_048_576],
  ['2G', 2_147_483_648],
  ['1T', 1_099_511_627_776],
  ['1MiB', 1_048_576],
  ['1GB', 1_000_000_000],
  ['12TB', 12_000_000_000_000],
  ['1kb', 1000],
  ['1.5K', 1536],
]);

test('what is no size is null', table(parseSize), [
  ['', null],
  ['K', null],
  ['-1K', null],
  ['1X', null],
  ['1KK', null],
  ['0x10', null],
  ['1e3', null],
  ['9999999P', null],
]);

test('sizes are shown with three digits or so', table(formatSize), [
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1536, '1.5 KiB'],
  [102_399, '100 KiB'],
  [1_048_575, '1.0 MiB'],
  [5 * 2 ** 40, '5.0 TiB'],
  [2 ** 60, '1024 PiB'],
]);

test('durations are shown in two units', table(formatDuration), [
  [-1, '0s'],
  [59.4, '59s'],
  [60, '1m 00s'],
  [3599, '59m 59s'],
  [7500, '2h 05m'],
  [200_000, '2d 7h'],
]);
