import test from 'ava';
import { openCatalog } from '../../src/catalog/index.ts';
import { jobMoves, type JobState } from '../../src/catalog/model.ts';
import { prepare, temporaryCatalog } from '../fixtures/catalogue.ts';

test('a job remembers who asked for what, when it ran and what came of it', async (t) => {
  let clock = 5000;
  const { catalog } = temporaryCatalog(t, { now: () => clock++ });
  const job = await catalog.addJob('archive', 1000, { paths: ['/data'] });
  t.like(job, { kind: 'archive', state: 'queued', uid: 1000, createdAt: 5000, startedAt: null, endedAt: null, spec: '{"paths":["/data"]}', summary: null });
  await catalog.setJob(job.id, 'running');
  await catalog.setJob(job.id, 'running', { archived: 1 });
  await catalog.setJob(job.id, 'done', { archived: 2 });
  const [row] = await catalog.jobs(5);
  t.like(row, { state: 'done', startedAt: 5001, endedAt: 5002, summary: '{"archived":2}' });
  await t.throwsAsync(catalog.setJob(99, 'done'), { code: 'ENOENT' });
});

test('a job moves only as the table says', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const states = Object.keys(jobMoves) as JobState[];
  for (const from of states) {
    for (const to of states) {
      const { id } = await catalog.addJob('recall', 0, null);
      if (from !== 'queued') await catalog.setJob(id, from);
      const legal = from === to || (jobMoves[from] as readonly JobState[]).includes(to);
      if (legal) await catalog.setJob(id, to);
      else await t.throwsAsync(catalog.setJob(id, to), { code: 'BAD_MOVE' });
      const [row] = await catalog.jobs(1);
      t.is(row?.state, legal ? to : from, `${from} -> ${to}`);
      t.is(row?.endedAt !== null, jobMoves[legal ? to : from].length === 0);
    }
  }
});

test('jobs and open recall requests survive a restart, newest job first, oldest request first', async (t) => {
  const { catalog, path } = temporaryCatalog(t, { now: () => 77 });
  const { filesystem } = await prepare(catalog);
  const job = await catalog.addJob('recall', 1000, {});
  await catalog.setJob(job.id, 'running');
  await catalog.addJob('verify', 0, {});
  const ids = await Promise.all([1, 2, 3, 4].map((ino) => catalog.addRecallRequest({ filesystem, ino, path: `/data/${ino}`, job: job.id, priority: ino })));
  await catalog.endRecallRequests([ids[1] ?? 0], 'failed', 'no space');
  await catalog.endRecallRequests([ids[2] ?? 0], 'done', null);
  await catalog.close();

  const again = openCatalog(path);
  t.teardown(() => again.close());
  t.deepEqual((await again.jobs(10)).map(({ kind, state }) => [kind, state]), [
    ['verify', 'queued'],
    ['recall', 'running'],
  ]);
  t.deepEqual(await again.openRecallRequests(), [
    { id: ids[0] ?? 0, filesystem, ino: 1, path: '/data/1', job: job.id, state: 'queued', priority: 1, createdAt: 77, endedAt: null, reason: null },
    { id: ids[3] ?? 0, filesystem, ino: 4, path: '/data/4', job: job.id, state: 'queued', priority: 4, createdAt: 77, endedAt: null, reason: null },
  ]);
});

test('a request ends once', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem } = await prepare(catalog);
  const id = await catalog.addRecallRequest({ filesystem, ino: 1, path: '/data/1', job: null, priority: 0 });
  await catalog.endRecallRequests([id, 999], 'cancelled', 'nobody waits');
  await catalog.endRecallRequests([id], 'done', null);
  t.deepEqual(await catalog.openRecallRequests(), []);
  await t.throwsAsync(catalog.addRecallRequest({ filesystem: 99, ino: 1, path: '/x', job: null, priority: 0 }), { code: 'EINVAL' });
});

test('ended jobs and requests are forgotten after ten thousand others, open ones never', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem } = await prepare(catalog);
  const kept = await catalog.addJob('recall', 0, {});
  const ended = await catalog.addJob('recall', 0, {});
  await catalog.setJob(ended.id, 'done');
  const request = { filesystem, ino: 1, path: '/data/1', job: ended.id, priority: 0 };
  const open = await catalog.addRecallRequest(request);
  await catalog.endRecallRequests([await catalog.addRecallRequest(request)], 'done', null);
  await Promise.all(Array.from({ length: 10_100 }, () => catalog.addJob('verify', 0, {})));
  await Promise.all(Array.from({ length: 11_000 }, () => catalog.addRecallRequest({ ...request, job: kept.id })));
  const jobs = await catalog.jobs(20_000);
  t.true(jobs.some(({ id }) => id === kept.id));
  t.false(jobs.some(({ id }) => id === ended.id));
  const [oldest] = await catalog.openRecallRequests();
  t.is(oldest?.id, open);
  t.is(oldest?.job, null);
  t.deepEqual(await catalog.check(), []);
});

test('the event log keeps the newest', async (t) => {
  const { catalog } = temporaryCatalog(t, { keepEvents: 3, now: () => 9 });
  for (const n of [1, 2, 3, 4, 5]) await catalog.logEvent('volume-added', n === 5 ? null : n, { n });
  const events = await catalog.events(10);
  t.deepEqual(events.map(({ at, kind, uid, data }) => [at, kind, uid, data]), [
    [9, 'volume-added', null, '{"n":5}'],
    [9, 'volume-added', 4, '{"n":4}'],
    [9, 'volume-added', 3, '{"n":3}'],
  ]);
  t.is((await catalog.events(1)).length, 1);
});
