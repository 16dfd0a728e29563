import test from 'ava';
import { tapSize } from '../../src/media/tap.ts';
import { TapIndex } from '../../src/media/tap-index.ts';
import { seededRandom } from '../fixtures/random.ts';

test('equal blocks of a terabyte are one run', (t) => {
  const index = new TapIndex();
  index.push(2 ** 20, 500_000);
  for (let block = 0; block < 500_000; block += 1) index.push(2 ** 20);
  t.is(index.runs, 1);
  t.is(index.endAddress, 1_000_000);
  t.is(index.offsetOf(999_999), 999_999 * (2 ** 20 + 8));
  t.is(index.offsetOf(1_000_000), index.endOffset);
});

test('every object is found where a plain list has it, after any pushes, gaps and truncations', (t) => {
  const seed = Date.now() % 1_000_000;
  t.log(`seed ${seed}`);
  const random = seededRandom(seed);
  const index = new TapIndex();
  let list: { offset: number; marker: number }[] = [];
  let end = 0;
  for (let step = 0; step < 3000; step += 1) {
    const choice = random();
    if (choice < 0.02) {
      const at = Math.floor(random() * (list.length + 1));
      end = list[at]?.offset ?? end;
      list = list.slice(0, at);
      index.truncate(at);
    } else if (choice < 0.05) {
      index.skip(4);
      end += 4;
    } else {
      const marker = [0, 1, 80, 1024, 1024, 1024, 0x8000_0050][Math.floor(random() * 7)] ?? 0;
      list.push({ offset: end, marker });
      index.push(marker);
      end += tapSize(marker);
    }
    t.is(index.endAddress, list.length);
    t.is(index.endOffset, end);
    const address = Math.floor(random() * list.length);
    const expected = list[address];
    if (expected === undefined) continue;
    if (index.offsetOf(address) !== expected.offset || index.markerAt(address) !== expected.marker) t.fail(`object ${address} (seed ${seed})`);
  }
  for (const [address, { offset, marker }] of list.entries()) {
    t.is(index.offsetOf(address), offset);
    t.is(index.markerAt(address), marker);
  }
});

test('the runs from an address on rebuild the index behind it', (t) => {
  const index = new TapIndex();
  for (const [marker, count] of [[80, 1], [0, 1], [1024, 10], [300, 1], [0, 2]] as const) index.push(marker, count);
  t.deepEqual(
    [...index.runsFrom(5)].map(({ marker, count }) => [marker, count]),
    [[1024, 7], [300, 1], [0, 2]],
  );
  t.is([...index.runsFrom(5)][0]?.offset, index.offsetOf(5));
  t.deepEqual([...index.runsFrom(15)], []);
});
