import test from 'ava';
import { TapIndex } from '../../src/media/tap-index.ts';
import { scanTap } from '../../src/media/tap-scan.ts';
import { MemoryTap, tapBlock, tapEnd, tapFilemark, tapGap } from '../fixtures/memory-tap.ts';
import { seededBytes, seededRandom } from '../fixtures/random.ts';

const scan = async (bytes: Buffer) => {
  const index = new TapIndex();
  const file = new MemoryTap(bytes);
  const end = await scanTap(file, index);
  const markers = Array.from({ length: index.endAddress }, (_, address) => index.markerAt(address));
  return { end, markers, offset: index.endOffset, reads: file.reads };
};

test('blocks, filemarks, gaps and what is marked as unreadable are found', async (t) => {
  const blocks = [80, 0, 5, 6].map((length) => tapBlock(seededBytes(length, length || 33)));
  const bytes = Buffer.concat([blocks[0]!, tapFilemark, blocks[1]!, tapGap, tapGap, blocks[2]!, tapBlock(Buffer.alloc(9), 0x8000_0000), tapFilemark, tapFilemark]);
  t.like(await scan(bytes), { end: 'clean', markers: [80, 0, 33, 5, 0x8000_0009, 0, 0], offset: bytes.length });
});

test('an end-of-medium marker ends the data, whatever follows it', async (t) => {
  const block = tapBlock(Buffer.alloc(10));
  t.like(await scan(Buffer.concat([block, tapFilemark, tapEnd, block])), { end: 'clean', markers: [10, 0], offset: block.length + 4 });
  t.like(await scan(Buffer.alloc(0)), { end: 'clean', markers: [] });
});

test('cut at any byte, the end of data is the last whole object', async (t) => {
  const objects = [tapBlock(Buffer.alloc(7, 1)), tapFilemark, tapBlock(Buffer.alloc(8, 2)), tapBlock(Buffer.alloc(8, 3)), tapBlock(Buffer.alloc(8, 4)), tapFilemark];
  const bytes = Buffer.concat(objects);
  for (let length = 0; length <= bytes.length; length += 1) {
    let whole = 0;
    let end = 0;
    for (const object of objects) {
      if (end + object.length > length) break;
      end += object.length;
      whole += 1;
    }
    const found = await scan(bytes.subarray(0, length));
    t.is(found.markers.length, whole, `cut at ${length}`);
    t.is(found.offset, end, `cut at ${length}`);
    t.is(found.end, end === length ? 'clean' : 'torn', `cut at ${length}`);
  }
});

test('data that looks like markers is not taken for any', async (t) => {
  const inner = tapBlock(Buffer.alloc(10));
  const blocks = [inner, Buffer.concat([inner, inner]), inner].map((data) => tapBlock(data));
  t.like(await scan(Buffer.concat(blocks)), { end: 'clean', markers: [inner.length, 2 * inner.length, inner.length] });
});

test('a trailer that is not its block\'s ends the data before it', async (t) => {
  const bytes = Buffer.concat([1, 2, 3, 4].map((value) => tapBlock(Buffer.alloc(100, value))));
  for (const block of [0, 1, 2, 3]) {
    const damaged = Buffer.from(bytes);
    damaged.writeUInt32LE(101, (block + 1) * 108 - 4);
    t.like(await scan(damaged), { end: 'torn', offset: block * 108 });
  }
});

test('noise of any kind is survived', async (t) => {
  const random = seededRandom(5);
  for (let round = 0; round < 200; round += 1) {
    const good = Buffer.concat([tapBlock(seededBytes(round, 50)), tapFilemark]);
    const found = await scan(Buffer.concat([good, Buffer.alloc(Math.floor(random() * 300)).fill(Math.floor(random() * 256))]));
    t.deepEqual(found.markers.slice(0, 2), [50, 0]);
  }
});

test('only markers are read, and a tail of zeros is not read four bytes at a time', async (t) => {
  const blocks = Buffer.concat(Array.from({ length: 1000 }, () => tapBlock(Buffer.alloc(500))));
  t.true((await scan(blocks)).reads < 1200);
  const zeros = await scan(Buffer.concat([tapBlock(Buffer.alloc(10)), Buffer.alloc(2 ** 20)]));
  t.is(zeros.markers.length, 1 + 2 ** 18);
  t.true(zeros.reads < 300);
});
