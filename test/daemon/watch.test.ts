import test from 'ava';
import { connect } from '../../src/daemon/client.ts';
import type { WatchRow } from '../../src/daemon/protocol.ts';
import { Known, type Row, Watches, type WatchSources } from '../../src/daemon/watch.ts';
import { LiveMirror } from '../../src/tui/mirror.ts';
import { fakeDaemon } from '../fixtures/fake-daemon.ts';
import { until } from '../fixtures/until.ts';

const nothing: WatchSources = { status: () => [], queue: () => [], drives: () => [], volumes: () => [], jobs: () => [], events: () => [] };

test('a new row is sent whole, of a changed one what changed, of one that is no more its key', (t) => {
  const known = new Known('id');
  t.deepEqual(known.update([{ id: 'a', n: 1, list: [{ pid: 1 }] }, { id: 'b', n: 1 }]), { set: [{ id: 'a', n: 1, list: [{ pid: 1 }] }, { id: 'b', n: 1 }], gone: [] });
  t.deepEqual(known.update([{ id: 'a', n: 1, list: [{ pid: 1 }] }, { id: 'b', n: 1 }]), { set: [], gone: [] });
  t.deepEqual(known.update([{ id: 'a', n: 2, list: [{ pid: 1 }] }]), { set: [{ id: 'a', n: 2 }], gone: ['b'] });
  t.deepEqual(known.update([{ id: 'a', n: 2, list: [{ pid: 2 }] }]), { set: [{ id: 'a', list: [{ pid: 2 }] }], gone: [] });
});

test('an estimate that hardly moves is no change, however long it creeps', (t) => {
  const known = new Known('id');
  const at = (seconds: number): Row => ({ id: 'a', readyAt: new Date(Date.now() + 1_000_000 + seconds * 1000).toISOString() });
  known.update([at(0)]);
  t.deepEqual(known.update([at(60)]).set, []);
  t.deepEqual(known.update([{ ...at(61), n: 1 }]).set, [{ id: 'a', n: 1 }]);
  t.is(known.update([{ ...at(200), n: 1 }]).set.length, 1, 'compared with what was sent, not with what was seen last');
  t.deepEqual(known.update([{ id: 'a', readyAt: null, n: 1 }]).set, [{ id: 'a', readyAt: null }]);
});

test('when all of a long queue moves up, that is told every fifth round, and what else happens at once', (t) => {
  const known = new Known('id');
  const queue = (from: number, state = 'queued'): Row[] => Array.from({ length: 1000 }, (_, i) => ({ id: `r${i}`, position: i - from, state: i === 7 ? state : 'queued' }));
  t.is(known.update(queue(0)).set.length, 1000);
  const told = [1, 2, 3, 4, 5, 6].map((from) => known.update(queue(from)).set.length);
  t.deepEqual(told, [0, 0, 0, 0, 1000, 0]);
  t.deepEqual(known.update(queue(6, 'restoring')).set, [{ id: 'r7', position: 1, state: 'restoring' }]);
  const later = [1, 2, 3].map(() => known.update(queue(6, 'restoring')).set.length);
  t.deepEqual(later, [0, 0, 999], 'compared with what was told');
});

test('whatever changes, a client that applies the changes has what the daemon has', async (t) => {
  let rows = new Map<string, Row>();
  const watches = new Watches({ ...nothing, queue: () => [...rows.values()] });
  const { server } = await fakeDaemon(t, { watch: (params, call) => watches.watch(params, call) });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  const mirror = new LiveMirror();
  let rounds = 0;
  const started = client.start('watch', { intervalMs: 250, topics: ['queue'] }, { row: (row) => (rounds += mirror.take(row as WatchRow) ? 1 : 0) });
  started.result.catch(() => undefined);
  for (let turn = 0; turn < 6; turn += 1) {
    const next = new Map<string, Row>();
    for (let n = turn * 100; n < turn * 100 + 1234; n += 1) next.set(`r${n}`, { id: `r${n}`, position: n % (turn + 2), state: 'queued', waiters: [], askedAt: '2026-03-01T12:00:00.000Z', readyAt: null });
    rows = next;
    await until(() => mirror.requests.size === rows.size && [...rows].every(([id, row]) => mirror.requests.get(id)?.position === row['position']), 20_000);
  }
  t.true(rounds > 0);
  await started.cancel();
  t.deepEqual(await started.result, {});
});

test('users who are no operators see their own requests, and neither jobs nor events', async (t) => {
  const row = (id: string, uid: number): Row => ({ id, waiters: [{ pid: 1, uid, exe: null }] });
  const watches = new Watches({ ...nothing, queue: () => [row('r1', 1000), row('r2', 1001), { id: 'r3', waiters: [] }], events: () => [{ id: 1 }], jobs: () => [{ id: 'j1' }] });
  const { server } = await fakeDaemon(t, { watch: (params, call) => watches.watch(params, call) }, { credentials: () => ({ pid: 5, uid: 1000, gid: 1000, groups: [1000] }), operatorGid: null });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  const rows: WatchRow[] = [];
  client.start('watch', {}, { row: (each) => rows.push(each as WatchRow) }).result.catch(() => undefined);
  await until(() => rows.some((each) => 'at' in each));
  t.deepEqual(rows[0], { watch: { operator: false, uid: 1000, topics: ['status', 'drives', 'queue', 'volumes'] } });
  const topics = rows.flatMap((each) => ('topic' in each ? [[each.topic, each.set.map(({ id }) => id)]] : []));
  t.deepEqual(topics, [['queue', ['r1']]]);
});

test('other users watch so many times and no more, and may again after they left', async (t) => {
  const watches = new Watches(nothing);
  const { server } = await fakeDaemon(t, { watch: (params, call) => watches.watch(params, call) }, { credentials: () => ({ pid: 5, uid: 1000, gid: 1000, groups: [1000] }), operatorGid: null });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  const all = Array.from({ length: 16 }, () => client.start('watch'));
  for (const { result } of all) result.catch(() => undefined);
  await t.throwsAsync(client.call('watch'), { code: 'EAGAIN' });
  await all[0]?.cancel();
  await all[0]?.result;
  let ended = false;
  const again = client.start('watch', {}, { row: () => (ended = true) });
  again.result.catch(() => undefined);
  await until(() => ended);
  t.true(ended);
});

test('topics and intervals are checked', async (t) => {
  const watches = new Watches(nothing);
  const { server } = await fakeDaemon(t, { watch: (params, call) => watches.watch(params, call) });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  await t.throwsAsync(client.call('watch', { topics: ['passwords'] }), { code: 'USAGE', message: /'passwords' cannot be watched/ });
  await t.throwsAsync(client.call('watch', { intervalMs: 1 }), { code: 'USAGE' });
});

test('however many watch, a topic is asked for once a while', async (t) => {
  let asked = 0;
  const watches = new Watches({ ...nothing, volumes: () => ((asked += 1), []) });
  const { server } = await fakeDaemon(t, { watch: (params, call) => watches.watch(params, call) });
  const clients = await Promise.all(Array.from({ length: 5 }, () => connect(server.path)));
  t.teardown(() => clients.forEach((client) => client.close()));
  let rounds = 0;
  for (const client of clients) client.start('watch', { topics: ['volumes'] }, { row: (row) => (rounds += 'at' in (row as object) ? 1 : 0) }).result.catch(() => undefined);
  await until(() => rounds >= 5);
  t.true(asked < 5, `${asked} times`);
});

test('rows that take long to make are made the more seldom', async (t) => {
  for (const [costMs, most] of [[2000, 1], [0, Infinity]] as const) {
    let now = 0;
    let asked = 0;
    const queue = (): Row[] => {
      asked += 1;
      now += costMs;
      return [];
    };
    const watches = new Watches({ ...nothing, queue }, () => now);
    const { server } = await fakeDaemon(t, { watch: (params, call) => watches.watch(params, call) });
    const client = await connect(server.path);
    t.teardown(() => client.close());
    let rounds = 0;
    const started = client.start('watch', { intervalMs: 250, topics: ['queue'] }, {
      row: (row) => {
        if (!('at' in (row as object))) return;
        rounds += 1;
        // Beyond what is fresh in any case.
        now += 600;
      },
    });
    await until(() => rounds >= 4);
    t.true(most === 1 ? asked === 1 : asked > 1, `asked ${asked} times`);
    await started.cancel();
    await started.result;
  }
});
