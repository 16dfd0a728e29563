import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { JobKind, JobRow, JobState } from '../../src/catalog/model.ts';
import { Jobs } from '../../src/daemon/jobs.ts';
import { JobFolder } from '../../src/daemon/kept-jobs.ts';
import type { Call } from '../../src/daemon/server.ts';
import { temporaryFolder } from '../fixtures/fake-daemon.ts';

/** Ten lines of catalogue. */
function fakeCatalog() {
  const rows: JobRow[] = [];
  return {
    rows,
    addJob: async (kind: JobKind, uid: number, spec: unknown): Promise<JobRow> => {
      const row = { id: rows.length + 1, kind, state: 'queued' as const, uid, createdAt: 0, startedAt: null, endedAt: null, spec: JSON.stringify(spec), summary: null };
      rows.push(row);
      return row;
    },
    setJob: async (id: number, state: JobState, summary?: unknown): Promise<void> => {
      const index = rows.findIndex((row) => row.id === id);
      rows[index] = { ...(rows[index] as JobRow), state, summary: summary === undefined ? null : JSON.stringify(summary) };
    },
    jobs: async (): Promise<JobRow[]> => rows,
    logEvent: async (): Promise<void> => undefined,
  };
}

function fakeCall(cancelled = new AbortController()): Call {
  return {
    peer: { pid: 1, uid: 0, gid: 0, groups: [] },
    operator: true,
    cancelled: cancelled.signal,
    gone: new AbortController().signal,
    job: () => undefined,
    progress: () => undefined,
    row: async () => undefined,
  };
}

test('jobs that write run one after the other, recalls beside them', async (t) => {
  const jobs = new Jobs(fakeCatalog());
  const order: string[] = [];
  let finish = (): void => undefined;
  const first = jobs.run('archive', {}, fakeCall(), async () => {
    order.push('archive starts');
    await new Promise<void>((resolve) => (finish = resolve));
    order.push('archive ends');
    return {};
  });
  const second = jobs.run('release', {}, fakeCall(), async () => {
    order.push('release');
    return {};
  });
  while (order.length === 0) await new Promise(setImmediate);
  await jobs.run('recall', {}, fakeCall(), async () => {
    order.push('recall');
    return {};
  });
  finish();
  await Promise.all([first, second]);
  t.deepEqual(order, ['archive starts', 'recall', 'archive ends', 'release']);
});

test('a job that fails is recorded with its reason, and the next one runs', async (t) => {
  const catalog = fakeCatalog();
  const jobs = new Jobs(catalog);
  const failed = jobs.run('archive', {}, fakeCall(), async () => Promise.reject(Object.assign(new Error('no tape'), { code: 'NO_VOLUME' })));
  const next = jobs.run('release', {}, fakeCall(), async () => ({ released: 1 }));
  await t.throwsAsync(failed, { code: 'NO_VOLUME' });
  t.deepEqual(await next, { released: 1 });
  t.like(catalog.rows[0], { state: 'failed', summary: '{"code":"NO_VOLUME","error":"no tape"}' });
  t.like(catalog.rows[1], { state: 'done' });
});

test('a job is cancelled by its number, by its client, and before it started', async (t) => {
  const catalog = fakeCatalog();
  const jobs = new Jobs(catalog);
  const client = new AbortController();
  const untilAborted = async (signal: AbortSignal): Promise<object> => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return {};
  };
  const byNumber = jobs.run('archive', {}, fakeCall(), ({ signal }) => untilAborted(signal));
  const byClient = jobs.run('recall', {}, fakeCall(client), ({ signal }) => untilAborted(signal));
  const waiting = jobs.run('release', {}, fakeCall(), async () => t.fail('it must not start'));
  await new Promise(setImmediate);
  t.true(jobs.cancel(3));
  client.abort();
  await byClient;
  t.true(jobs.cancel(1));
  await byNumber;
  await t.throwsAsync(waiting, { code: 'ECANCELED' });
  t.deepEqual(
    catalog.rows.map(({ state }) => state),
    ['cancelled', 'cancelled', 'cancelled'],
  );
  t.false(jobs.cancel(99));
});

test('what a daemon before this one left running has failed, what it left queued is cancelled', async (t) => {
  const catalog = fakeCatalog();
  await catalog.addJob('archive', 0, {});
  await catalog.setJob(1, 'running');
  await catalog.addJob('release', 0, {});
  t.deepEqual(await new Jobs(catalog).leftovers(), []);
  t.deepEqual(
    catalog.rows.map(({ state }) => state),
    ['failed', 'cancelled'],
  );
});

test('after a stop no job is taken, and the running ones have ended', async (t) => {
  const jobs = new Jobs(fakeCatalog());
  let ended = false;
  const running = jobs.run('archive', {}, fakeCall(), async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    ended = true;
    return {};
  });
  await new Promise(setImmediate);
  await jobs.stop();
  t.true(ended);
  await running;
  await t.throwsAsync(
    jobs.run('archive', {}, fakeCall(), async () => ({})),
    { code: 'EAGAIN' },
  );
});

/** A job that goes on until it is told to end. */
const untilAborted = async ({ signal }: { readonly signal: AbortSignal }): Promise<object> => {
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  return {};
};
const params = { paths: ['/data/a', { base64: 'L2RhdGEv6Q==' }] };

test('a kept job that a stop of the daemon ended is taken up by the next one, and ends there', async (t) => {
  const catalog = fakeCatalog();
  const folder = temporaryFolder(t);
  const first = new Jobs(catalog, new JobFolder(folder));
  const ended = first.run('recall', {}, fakeCall(), untilAborted, params);
  while (first.running().length === 0) await new Promise(setImmediate);
  await first.stop();
  await ended;
  t.is(catalog.rows[0]?.state, 'queued');
  const second = new Jobs(catalog, new JobFolder(folder));
  t.deepEqual(await second.leftovers(), [{ id: 1, kind: 'recall', params }]);
  await second.resume(1, 'recall', async () => ({ recalled: 3 }));
  t.deepEqual([catalog.rows[0]?.state, catalog.rows[0]?.summary], ['done', '{"recalled":3}']);
  t.deepEqual(await new Jobs(catalog, new JobFolder(folder)).leftovers(), []);
});

test('a kept job that somebody cancelled is not taken up, not even when the daemon stops at that moment', async (t) => {
  const catalog = fakeCatalog();
  const folder = temporaryFolder(t);
  const jobs = new Jobs(catalog, new JobFolder(folder));
  const ended = jobs.run('recall', {}, fakeCall(), untilAborted, params);
  while (!jobs.cancel(1)) await new Promise(setImmediate);
  await jobs.stop();
  await ended;
  t.is(catalog.rows[0]?.state, 'cancelled');
  t.deepEqual(await new Jobs(catalog, new JobFolder(folder)).leftovers(), []);
});

test('jobs of other kinds end with the daemon', async (t) => {
  const catalog = fakeCatalog();
  const jobs = new Jobs(catalog, new JobFolder(temporaryFolder(t)));
  const ended = jobs.run('archive', {}, fakeCall(), untilAborted);
  while (jobs.running().length === 0) await new Promise(setImmediate);
  await jobs.stop();
  await ended;
  t.is(catalog.rows[0]?.state, 'cancelled');
});

test('a job in whose middle daemons die is taken up three times and no more', async (t) => {
  const catalog = fakeCatalog();
  const folder = temporaryFolder(t);
  void new Jobs(catalog, new JobFolder(folder)).run('recall', {}, fakeCall(), () => new Promise<object>(() => undefined), params);
  for (let death = 1; death <= 3; death += 1) {
    while (catalog.rows[0]?.state !== 'running') await new Promise(setImmediate);
    const next = new Jobs(catalog, new JobFolder(folder));
    t.is((await next.leftovers()).length, 1, `after death ${death}`);
    void next.resume(1, 'recall', () => new Promise<object>(() => undefined));
  }
  while (catalog.rows[0]?.state !== 'running') await new Promise(setImmediate);
  t.deepEqual(await new Jobs(catalog, new JobFolder(folder)).leftovers(), []);
  t.deepEqual(catalog.rows.map(({ state }) => state), ['failed']);
  t.deepEqual([...new JobFolder(folder).all()], []);
});

test('a kept job that fails has ended', async (t) => {
  const catalog = fakeCatalog();
  const folder = temporaryFolder(t);
  const jobs = new Jobs(catalog, new JobFolder(folder));
  await t.throwsAsync(jobs.run('recall', {}, fakeCall(), () => Promise.reject(new Error('no such filesystem')), params));
  t.is(catalog.rows[0]?.state, 'failed');
  t.deepEqual([...new JobFolder(folder).all()], []);
});

test('what cannot be read of kept jobs is left out', (t) => {
  const folder = temporaryFolder(t);
  const kept = new JobFolder(folder);
  writeFileSync(join(folder, 'jobs/j7.json'), '{"params":');
  writeFileSync(join(folder, 'jobs/j8.json.new'), '{}');
  t.deepEqual([...kept.all()], []);
});

test('a job that cannot be kept has failed, and does not run', async (t) => {
  const catalog = fakeCatalog();
  const keep = (): Promise<void> => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
  const jobs = new Jobs(catalog, { keep, drop: async () => undefined, all: () => new Map() });
  let ran = false;
  await t.throwsAsync(jobs.run('recall', {}, fakeCall(), async () => ({ ran: (ran = true) }), params), { code: 'ENOSPC' });
  t.deepEqual([ran, catalog.rows.map(({ state }) => state), jobs.running()], [false, ['failed'], []]);
});
