import test from 'ava';
import { native } from '../../src/native/index.ts';
import { testing } from '../fixtures/testing.ts';

test('CRC-32C gives the values of RFC 3720 B.4', (t) => {
  t.is(native.crc32c(Buffer.alloc(32)), 0x8a9136aa);
  t.is(native.crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  t.is(native.crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i))), 0x46dd794e);
  t.is(native.crc32c(Buffer.from('123456789')), 0xe3069283);
  t.is(native.crc32c(Buffer.alloc(0)), 0);
});

test('instruction and table agree at every length and alignment', (t) => {
  const data = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 31 + (i >> 3)) & 0xff));
  for (let start = 0; start < 9; start++) {
    for (let end = start; end < start + 70; end++) {
      const part = data.subarray(start, end);
      if (native.crc32c(part) !== testing.crc32cByTable(part)) t.fail(`differs for ${start}..${end}`);
    }
  }
  t.is(native.crc32c(data), testing.crc32cByTable(data));
});

test('a seed goes on where another CRC ended', (t) => {
  const data = Buffer.from('the quick brown fox jumps over the lazy dog');
  for (let cut = 0; cut <= data.length; cut++) t.is(native.crc32c(data.subarray(cut), native.crc32c(data.subarray(0, cut))), native.crc32c(data));
});

test('wrong arguments are TypeErrors', (t) => {
  t.throws(() => native.crc32c('text' as unknown as Buffer), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' });
  t.throws(() => native.crc32c(Buffer.alloc(1), -1), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' });
  t.throws(() => native.crc32c(Buffer.alloc(1), 2 ** 32), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' });
});
