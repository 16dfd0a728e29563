import test from 'ava';
import { tapLength, tapObject, tapSize } from '../../src/media/tap.ts';
import type { TapObject } from '../../src/media/tap.ts';

const marker = test.macro({
  exec: (t, value: number, object: TapObject, length: number, size: number) => {
    t.is(tapObject(value), object);
    t.is(tapLength(value), length);
    t.is(tapSize(value), size);
  },
  title: (_, value: number, object: TapObject) => `marker 0x${value.toString(16)} is: ${object}`,
});

test(marker, 0, 'filemark', 0, 4);
test(marker, 1, 'block', 1, 10);
test(marker, 2, 'block', 2, 10);
test(marker, 0x10_0000, 'block', 0x10_0000, 0x10_0008);
test(marker, 0xff_ffff, 'block', 0xff_ffff, 0x100_0008);
test(marker, 0x8000_0050, 'bad-block', 80, 88);

test('a marker of another class is not taken for a block', (t) => {
  for (const value of [0x0100_0000, 0x1000_0050, 0x7000_0001, 0x8100_0000, 0xe000_0001, 0xffff_fffd]) t.is(tapObject(value), 'unknown');
  t.is(tapObject(0xffff_fffe), 'gap');
  t.is(tapObject(0xffff_ffff), 'end');
});
