import { appendFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { TapIndex } from '../../src/media/tap-index.ts';
import { TapIndexCache } from '../../src/media/tap-index-cache.ts';
import { scanTap } from '../../src/media/tap-scan.ts';
import { MemoryTap, tapBlock, tapFilemark, tapGap } from '../fixtures/memory-tap.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const parts = [
  [tapBlock(Buffer.alloc(80)), tapFilemark],
  [tapBlock(Buffer.alloc(500)), tapBlock(Buffer.alloc(500)), tapGap, tapBlock(Buffer.alloc(7)), tapFilemark],
  [tapBlock(Buffer.alloc(7)), tapFilemark, tapFilemark],
].map((part) => Buffer.concat(part));

async function cached(path: string): Promise<{ file: MemoryTap; index: TapIndex }> {
  const cache = new TapIndexCache(path);
  const file = new MemoryTap();
  const index = new TapIndex();
  for (const part of parts) {
    file.bytes = Buffer.concat([file.bytes, part]);
    await scanTap(file, index);
    await cache.extend(index);
  }
  return { file, index };
}

const objects = (index: TapIndex) => Array.from({ length: index.endAddress }, (_, address) => [index.offsetOf(address), index.markerAt(address)]);

test('what was cached piece by piece is the index, and costs no scan', async (t) => {
  const path = join(await temporaryFolder(t), 'x.idx');
  const { file, index } = await cached(path);
  file.reads = 0;
  const loaded = await new TapIndexCache(path).load(file);
  t.deepEqual(objects(loaded.index), objects(index));
  t.is(loaded.durable, file.bytes.length);
  t.true(file.reads <= 16);
});

test('without a cache file the index is empty', async (t) => {
  const loaded = await new TapIndexCache(join(await temporaryFolder(t), 'x.idx')).load(new MemoryTap());
  t.is(loaded.index.endAddress, 0);
  t.is(loaded.durable, 0);
});

test('cut or damaged at any byte, it is a shorter cache, never a wrong one', async (t) => {
  const path = join(await temporaryFolder(t), 'x.idx');
  const { file, index } = await cached(path);
  const whole = await readFile(path);
  const expected = objects(index);
  for (let at = 0; at < whole.length; at += 1) {
    await writeFile(path, whole.subarray(0, at));
    const cut = await new TapIndexCache(path).load(file);
    t.deepEqual(objects(cut.index), expected.slice(0, cut.index.endAddress));
    const damaged = Buffer.from(whole);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    await writeFile(path, damaged);
    const other = await new TapIndexCache(path).load(file);
    t.deepEqual(objects(other.index), expected.slice(0, other.index.endAddress));
    t.true(cut.index.endAddress < index.endAddress && other.index.endAddress < index.endAddress);
  }
});

test('a torn record is written over when the cache grows', async (t) => {
  const path = join(await temporaryFolder(t), 'x.idx');
  const { file, index } = await cached(path);
  await truncate(path, (await stat(path)).size - 5);
  const cache = new TapIndexCache(path);
  const { index: shorter } = await cache.load(file);
  await scanTap(file, shorter);
  await cache.extend(shorter);
  const again = await new TapIndexCache(path).load(file);
  t.deepEqual(objects(again.index), objects(index));
});

test('a cache that says more than the .tap holds is not used, but what it says was durable is told', async (t) => {
  const path = join(await temporaryFolder(t), 'x.idx');
  const { file } = await cached(path);
  const { length } = file.bytes;
  file.bytes = file.bytes.subarray(0, length - 1);
  const loaded = await new TapIndexCache(path).load(file);
  t.is(loaded.index.endAddress, 0);
  t.is(loaded.durable, length);
});

test('a cache of another .tap of the same length is not used', async (t) => {
  const path = join(await temporaryFolder(t), 'x.idx');
  const { file } = await cached(path);
  const other = new MemoryTap(tapBlock(Buffer.alloc(file.bytes.length - 8)));
  t.is((await new TapIndexCache(path).load(other)).index.endAddress, 0);
});

test('a dropped cache is gone, and starts again from the beginning', async (t) => {
  const path = join(await temporaryFolder(t), 'x.idx');
  const { file, index } = await cached(path);
  const cache = new TapIndexCache(path);
  await cache.load(file);
  await cache.drop();
  await cache.drop();
  t.is((await new TapIndexCache(path).load(file)).durable, 0);
  await cache.extend(index);
  await appendFile(path, 'garbage');
  t.deepEqual(objects((await new TapIndexCache(path).load(file)).index), objects(index));
});
