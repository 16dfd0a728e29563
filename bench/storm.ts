/**
 * What 100,000 recalls of one user at a time cost the engine, and when another user's single recall is read: limits, scheduler, ETAs, rows and what a watcher is told.
 * usage: node bench/storm.ts [requests]
 */
import { Known } from '../src/daemon/watch.ts';
import { physicalPosition, tapeModels } from '../src/library/timing.ts';
import { Limits } from '../src/recall/limits/limits.ts';
import { defaultRules, type Asker } from '../src/recall/limits/rules.ts';
import { Parking } from '../src/recall/parking.ts';
import { queueRows } from '../src/recall/queue-rows.ts';
import type { RecallRequest } from '../src/recall/requests.ts';
import { Scheduler } from '../src/recall/scheduler/scheduler.ts';
import { blockSize, type Geometry } from '../src/recall/scheduler/travel.ts';
import { seededRandom } from '../test/fixtures/random.ts';

const requests = Number(process.argv[2] ?? 100_000);
const capacity = 18e12;
const model = tapeModels.lto9;
const geometry: Geometry = { model, position: (block) => physicalPosition(model, capacity, block * blockSize) };
const blocks = Math.floor(capacity / blockSize) - 8192;
const containerBlocks = 4096;
const volumes = ['V00001L9', 'V00002L9', 'V00003L9'];
const resources = { drives: 2, loaded: volumes.slice(0, 2) };
const share = 64;
const random = seededRandom(7);

const longest: { what: string; ms: number }[] = [];
const scheduler = new Scheduler<RecallRequest>({ batchWindowMs: 0, turnMs: 900_000, share, mountSeconds: 110 }, () => performance.now());
const service = { scheduler, etas: () => scheduler.etas(resources) };
const parking = new Parking();
const known = new Known('id');
const before = process.memoryUsage().heapUsed;

const storm = timed(`limits, for ${requests} askers`, () => {
  const limits = new Limits(defaultRules, Date.now);
  return Array.from({ length: requests }, (_, index) => {
    const asker: Asker = { uid: 1000, exe: '/usr/bin/grep', comm: 'grep', gids: [1000], cgroup: '/' };
    limits.refusal(asker);
    limits.begin(asker, 1e6);
    return requestOf(index + 1, 1000, asker);
  });
});
timed('add', () => storm.forEach(add));
console.log(`memory: ${((process.memoryUsage().heapUsed - before) / requests / 1024).toFixed(1)} KiB a request`);
for (const volume of timed('decide', () => scheduler.decide(resources)).start) {
  scheduler.granted(volume, `drive-${volume}`, false);
  timed(`first plan of ${volume}`, () => scheduler.loaded(volume, 0, geometry));
}
const other = requestOf(volumes.length * requests, 1001, { uid: 1001, exe: '/bin/cat', comm: 'cat', gids: [], cgroup: '/' });
timed('the other user\'s request', () => add(other));
for (let round = 0; round < 3; round += 1) {
  timed('ETAs', () => service.etas());
  const rows = timed('rows', () => queueRows([...storm, other], service, parking));
  const told = timed('what a watcher is told', () => known.update(rows.map((row) => ({ ...row }))));
  console.log(`  ${told.set.length} rows; the other user's is number ${rows.find(({ id }) => id === `r${other.id}`)?.position} of its volume`);
}
timed('priority of 10,000', () => {
  for (const request of storm.slice(0, 10_000)) {
    request.priority = 40;
    scheduler.moved(request);
  }
});
let served = 0;
const volume = other.copies[0]?.volume ?? '';
timed('reading until the other user is served', () => {
  for (let batch = scheduler.take(volume, 512); !batch.includes(other); batch = scheduler.take(volume, 512)) {
    if (batch.length === 0) throw new Error('the other user was never served');
    served += batch.length;
    scheduler.passed(volume, 0);
  }
});
console.log(`  ${served} files of the storm were read before; at most ${share} may be`);
const turns: number[] = [];
timed('reading 5,000 more, with newcomers', () => {
  for (let id = requests + 1, left = 5000; left > 0; id += 1) {
    const begin = performance.now();
    add(requestOf(id, 1000, storm[0]!.waiters.get(1)!.asker));
    left -= Math.max(1, scheduler.take(volume, 512).length);
    scheduler.decide(resources);
    turns.push(performance.now() - begin);
  }
});
console.log(`  the longest turn took ${Math.max(...turns).toFixed(1)} ms`);
timed('remove all', () => storm.forEach((request) => scheduler.delete(request)));
const worst = longest.toSorted((a, b) => b.ms - a.ms)[0];
console.log(`longest: ${worst?.what}, ${worst?.ms.toFixed(0)} ms; RSS ${(process.memoryUsage().rss / 2 ** 20).toFixed(0)} MiB`);

function requestOf(id: number, uid: number, asker: Asker): RecallRequest {
  const block = Math.floor(random() * blocks);
  const startBlock = Math.floor(block / containerBlocks) * containerBlocks;
  const copy = { volume: volumes[id % volumes.length] ?? '', container: startBlock, startBlock, offset: (block - startBlock) * blockSize, length: 1e6 };
  const record = { size: 1e6, volume: copy.volume, container: startBlock };
  const waiters = new Map([[id, { event: id, pid: id, uid, exe: asker.exe, asker }]]);
  return { id, path: `/data/d${id % 1000}/f${id}`, createdAt: Date.now(), owner: `u${uid}`, priority: 100, waiters, interests: [], copies: [copy], record, state: 'queued', done: 0, reason: null, ahead: null } as unknown as RecallRequest;
}

function add(request: RecallRequest): void {
  scheduler.add(request.copies[0]?.volume ?? '', request, true);
}

function timed<T>(what: string, work: () => T): T {
  const begin = performance.now();
  const result = work();
  const ms = performance.now() - begin;
  longest.push({ what, ms });
  console.log(`${what}: ${ms.toFixed(1)} ms`);
  return result;
}
