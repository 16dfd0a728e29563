import test from 'ava';
import { blockRuns } from '../../../src/recall/restorer.ts';
import { type Queued, VolumeQueue } from '../../../src/recall/scheduler/volume-queue.ts';

let nextId = 1;
interface Asked {
  readonly at: readonly [container: number, offset: number];
  readonly priority?: number;
  readonly owner?: string;
  readonly waiters?: number;
}

function request({ at: [startBlock, offset], priority = 50, owner = 'j1', waiters = 0 }: Asked): Queued {
  const id = nextId++;
  return { id, createdAt: id, priority, owner, waiters: { size: waiters }, copies: [{ startBlock, offset, length: 1024 }] };
}

const at = (startBlock: number, offset = 0, more: Omit<Asked, 'at'> = {}): Queued => request({ at: [startBlock, offset], ...more });

const ids = (requests: readonly Queued[]): number[] => requests.map(({ id }) => id);

test('what lies in one container is taken together, in the order of the tape', (t) => {
  const queue = new VolumeQueue();
  const [far, late, early] = [at(100, 0), at(3, 9000), at(3, 512)];
  for (const each of [far, late, early]) queue.add(each);
  t.deepEqual(ids(queue.take(10)), [early.id, late.id]);
  t.deepEqual(ids(queue.take(10)), [far.id]);
  t.deepEqual(queue.take(10), []);
});

test('a request that somebody waits for goes before what only jobs want', (t) => {
  const queue = new VolumeQueue();
  const [job, waited] = [at(3, 512), at(100, 0, { priority: 100, waiters: 1 })];
  queue.add(job);
  queue.add(waited);
  t.is(queue.waiters, 1);
  t.is(queue.priority, 100);
  t.deepEqual(ids(queue.take(10)), [waited.id]);
  t.is(queue.waiters, 0);
  t.is(queue.priority, 50);
  t.deepEqual(ids(queue.take(10)), [job.id]);
});

test('a batch is bounded and the rest stays queued in order', (t) => {
  const queue = new VolumeQueue();
  const all = Array.from({ length: 10 }, (_, index) => at(3, 512 * index));
  for (const each of [...all].reverse()) queue.add(each);
  t.deepEqual(ids(queue.take(4)), ids(all.slice(0, 4)));
  t.deepEqual(ids(queue.inOrder()), ids(all.slice(4)));
  t.is(queue.size, 6);
});

test('a request that is taken out again is never served', (t) => {
  const queue = new VolumeQueue();
  const [kept, dropped] = [at(3, 512), at(3, 0)];
  queue.add(kept);
  queue.add(dropped);
  queue.inOrder();
  queue.delete(dropped);
  t.deepEqual(ids(queue.take(10)), [kept.id]);
});

test('what lies far along the tape is read although near requests keep coming', (t) => {
  const queue = new VolumeQueue();
  const waited = { waiters: 1 };
  const far = at(1_000_000, 0, waited);
  queue.add(far);
  let near = 0;
  queue.add(at(1, 0, waited));
  while (!queue.take(1).includes(far)) {
    near += 1;
    if (near > 100) break;
    for (let i = 0; i < 2; i += 1) queue.add(at(1 + 2 * near + i, 0, waited));
  }
  t.true(near <= 20, String(near));
});

test('what a job finds while it is read is passed in two sweeps at most, in whatever order it is found', (t) => {
  const block = 2 ** 20;
  const queue = new VolumeQueue();
  const all = Array.from({ length: 600 }, (_, index) => at(3, block * index));
  const served: number[] = [];
  const serve = (): boolean => {
    const batch = queue.take(20);
    for (const each of batch) served.push(each.copies[0]!.offset / block);
    queue.passed(3 + (served.at(-1) ?? 0));
    return batch.length > 0;
  };
  for (let found = 0; found < 6; found += 1) {
    for (const each of all.filter((_, index) => index % 6 === found)) queue.add(each);
    serve();
  }
  while (serve());
  t.is(new Set(served).size, 600);
  t.true(served.filter((place, i) => i > 0 && place < served[i - 1]!).length <= 1, String(served));
});

test('the order that a drive recommends is taken, and who comes meanwhile is not lost', async (t) => {
  const queue = new VolumeQueue();
  const [a, b, c] = [at(10), at(20), at(30)];
  for (const each of [a, b, c]) queue.add(each);
  const late = at(40);
  await queue.planBy(async (stretches) => {
    t.deepEqual(stretches.map(({ first }) => first), [10, 20, 30]);
    queue.add(late);
    queue.delete(c);
    return [2, 0, 1];
  });
  t.deepEqual([queue.take(9), queue.take(9), queue.take(9), queue.take(9)].map((batch) => ids(batch)), [[a.id], [b.id], [late.id], []]);
});

test('near members are read in one run, far ones are located', (t) => {
  const mib = 2 ** 20;
  t.deepEqual(blockRuns([{ offset: 0, length: 10 }, { offset: 2 * mib, length: 3 * mib }, { offset: 100 * mib - 1, length: 2 }]), [
    { first: 0, last: 4 },
    { first: 99, last: 100 },
  ]);
});
