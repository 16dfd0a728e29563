import test from 'ava';
import type { NewFileState } from '../../src/catalog/model.ts';
import { MoveBatch } from '../../src/recall/move-batch.ts';

test('moves are written together, per filesystem', async (t) => {
  const written: [number, number][] = [];
  const moves = new MoveBatch({ moveFiles: async (filesystem, batch) => void written.push([filesystem, batch.length]) }, (error) => t.fail(String(error)));
  for (let ino = 1; ino <= 3; ino += 1) moves.add(1, { ino, to: 'archived' });
  moves.add(2, { ino: 9, to: 'stub' });
  await moves.flush();
  t.deepEqual(written, [
    [1, 3],
    [2, 1],
  ]);
});

test('one row that does not fit does not keep the others from being written', async (t) => {
  const written: number[] = [];
  const failed: unknown[] = [];
  const moveFiles = async (_filesystem: number, batch: readonly NewFileState[]): Promise<void> => {
    if (batch.some(({ ino }) => ino === 2)) throw new Error('BAD_MOVE');
    written.push(...batch.map(({ ino }) => ino));
  };
  const moves = new MoveBatch({ moveFiles }, (error) => failed.push(error));
  for (let ino = 1; ino <= 3; ino += 1) moves.add(1, { ino, to: 'archived' });
  await moves.flush();
  t.deepEqual(written, [1, 3]);
  t.is(failed.length, 1);
});

test('a flush of nothing does not keep later moves from being written', async (t) => {
  const written: number[] = [];
  const moves = new MoveBatch({ moveFiles: async (_, batch) => void written.push(...batch.map(({ ino }) => ino)) }, (error) => t.fail(String(error)));
  await moves.flush();
  moves.add(1, { ino: 1, to: 'archived' });
  await moves.flush();
  moves.add(1, { ino: 2, to: 'archived' });
  await moves.flush();
  t.deepEqual(written, [1, 2]);
});
