import test from 'ava';
import type { CopyRow } from '../../src/catalog/model.ts';
import type { RecallRequest } from '../../src/recall/requests.ts';
import { blockRuns } from '../../src/recall/restorer.ts';
import { VolumeQueue } from '../../src/recall/volume-queue.ts';

let nextId = 1;
function request(startBlock: number, offset: number, waiters = 0): RecallRequest {
  const copy: CopyRow = { volume: 'V00001L9', pool: null, volumeState: 'writable', container: 1, startBlock, offset, length: 1024, verified: true };
  const waiting = new Map(Array.from({ length: waiters }, (_, event) => [event, { event, pid: 1, uid: 0, exe: '' }]));
  return { id: nextId++, copies: [copy], waiters: waiting } as unknown as RecallRequest;
}

const ids = (requests: readonly RecallRequest[]): number[] => requests.map(({ id }) => id);

test('what lies in one container is taken together, in the order of the tape', (t) => {
  const queue = new VolumeQueue();
  const [far, late, early] = [request(100, 0), request(3, 9000), request(3, 512)];
  for (const each of [far, late, early]) queue.add(each);
  t.deepEqual(ids(queue.take(10)), [early.id, late.id]);
  t.deepEqual(ids(queue.take(10)), [far.id]);
  t.deepEqual(queue.take(10), []);
});

test('a request that somebody waits for goes before what only jobs want', (t) => {
  const queue = new VolumeQueue();
  const [job, waited] = [request(3, 512), request(100, 0, 1)];
  queue.add(job);
  queue.add(waited);
  t.true(queue.hasWaiters());
  t.deepEqual(ids(queue.take(10)), [waited.id]);
  t.false(queue.hasWaiters());
  t.deepEqual(ids(queue.take(10)), [job.id]);
});

test('a batch is bounded and the rest stays queued in order', (t) => {
  const queue = new VolumeQueue();
  const all = Array.from({ length: 10 }, (_, index) => request(3, 512 * index));
  for (const each of [...all].reverse()) queue.add(each);
  t.deepEqual(ids(queue.take(4)), ids(all.slice(0, 4)));
  t.deepEqual(ids(queue.inOrder()), ids(all.slice(4)));
  t.is(queue.size, 6);
});

test('a request that is taken out again is never served', (t) => {
  const queue = new VolumeQueue();
  const [kept, dropped] = [request(3, 512), request(3, 0)];
  queue.add(kept);
  queue.add(dropped);
  queue.inOrder();
  queue.delete(dropped);
  t.deepEqual(ids(queue.take(10)), [kept.id]);
});

test('near members are read in one run, far ones are located', (t) => {
  const mib = 2 ** 20;
  t.deepEqual(blockRuns([{ offset: 0, length: 10 }, { offset: 2 * mib, length: 3 * mib }, { offset: 100 * mib - 1, length: 2 }]), [
    { first: 0, last: 4 },
    { first: 99, last: 100 },
  ]);
});
