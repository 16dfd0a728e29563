import test from 'ava';
import type { Medium } from '../../src/media/medium.ts';
import { BlockReader } from '../../src/recall/block-reader.ts';

/** A tape of numbered blocks that writes down what it is told; `bad` cannot be read. */
function tape(blocks: number, bad?: number) {
  const moves: string[] = [];
  let head = 0;
  const medium = {
    position: async () => head,
    locate: async (to: number) => {
      moves.push(`locate ${to}`);
      head = to;
    },
    readBlock: async (into: Buffer) => {
      moves.push(`read ${head}`);
      if (head >= blocks) return 'end';
      head += 1;
      if (head - 1 === bad) throw Object.assign(new Error('bad block'), { code: 'EIO' });
      into.writeUInt32LE(head - 1);
      return into.subarray(0, 4);
    },
  };
  return { medium: medium as unknown as Medium, moves };
}

const never = (): void => {
  throw new Error('it located');
};
const numberOf = (data: Buffer | 'filemark' | 'end'): number => (typeof data === 'string' ? -1 : data.readUInt32LE());

test('a block that was read last is had again without a move, and the next one follows it', async (t) => {
  const { medium, moves } = tape(10);
  const reader = new BlockReader(medium, null);
  await reader.goTo(0, never);
  t.is(numberOf(await reader.read()), 0);
  t.is(numberOf(await reader.read()), 1);
  t.is(await reader.here(), 1);
  await reader.goTo(1, never);
  t.is(numberOf(await reader.read()), 1);
  t.is(numberOf(await reader.read()), 2);
  t.deepEqual(moves, ['read 0', 'read 1', 'read 2']);
});

test('what was given last holds while the next block is read', async (t) => {
  const { medium } = tape(10);
  const reader = new BlockReader(medium, null);
  await reader.goTo(3, never);
  const third = await reader.read();
  await reader.goTo(3, never);
  await reader.read();
  const fourth = await reader.read();
  t.deepEqual([numberOf(third), numberOf(fourth)], [3, 4]);
});

test('a block further back, or far on, is located; a near one is read on to', async (t) => {
  const { medium, moves } = tape(100);
  const reader = new BlockReader(medium, null);
  let located = 0;
  for (const target of [2, 50, 1]) {
    await reader.goTo(target, () => (located += 1));
    t.is(numberOf(await reader.read()), target);
  }
  t.is(located, 2);
  t.deepEqual(moves, ['read 0', 'read 1', 'read 2', 'locate 50', 'read 50', 'locate 1', 'read 1']);
});

test('after a block that could not be read nothing old is given for new', async (t) => {
  const { medium } = tape(10, 1);
  const reader = new BlockReader(medium, null);
  await reader.goTo(0, never);
  await reader.read();
  await t.throwsAsync(reader.read(), { code: 'EIO' });
  t.is(await reader.here(), 2);
  let located = false;
  await reader.goTo(0, () => (located = true));
  t.true(located);
  t.is(numberOf(await reader.read()), 0);
});

test('a wanted block that was not read in the end does not come instead of another', async (t) => {
  const { medium } = tape(10);
  const reader = new BlockReader(medium, null);
  await reader.goTo(4, never);
  await reader.read();
  await reader.goTo(4, never);
  await reader.goTo(6, never);
  t.is(numberOf(await reader.read()), 6);
});
