import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { connect } from '../../src/daemon/client.ts';
import type { Daemon } from '../../src/daemon/daemon.ts';
import { restorePauses } from '../../src/daemon/pauses.ts';
import { access, type Method } from '../../src/daemon/protocol.ts';
import { steeringHandlers } from '../../src/daemon/steering.ts';
import { HsmError } from '../../src/errors.ts';
import { type Pause, Pauses } from '../../src/recall/scheduler/pauses.ts';
import { fakeDaemon, temporaryFolder } from '../fixtures/fake-daemon.ts';

const since = Date.parse('2026-03-01T12:00:00.000Z');

/** A daemon's parts that remember what was done to them; `state`: where it keeps its pauses. */
function parts(state: string) {
  const done: unknown[] = [];
  const events: unknown[] = [];
  const pauses = new Pauses();
  const daemon = {
    config: { state },
    log: { error: (data: object) => done.push(['logged', Object.keys(data)]), info: (data: object) => done.push(['told', data]) },
    catalog: {
      volume: async (barcode: string) => (barcode === 'V1' ? {} : undefined),
      logEvent: async (kind: string, uid: number | null, data: unknown) => void events.push([kind, uid, data]),
    },
    drives: { states: [{ name: 'drive0' }], setDrive: async (...args: unknown[]) => void done.push(args) },
    jobs: { cancel: (id: number) => id === 3 },
    recaller: {
      cancel: (id: number, errno: string, uid: number | null) => id === 12 && (done.push([id, errno, uid]), true),
      cancelAll: (errno: string, of: object) => (done.push([errno, of]), 5),
      setPriority: (id: number, priority: number) => id < 20 && (done.push([id, priority]), true),
      pause: (pause: Pause, reason: string | null, at = since) => pauses.set(pause, reason, at),
      resume: (pause: Pause) => pauses.clear(pause),
      get pauses() {
        return pauses.rows;
      },
      retry: async (id: number) => {
        if (id === 99) throw new HsmError('EINVAL', 'no stub any more');
        return id === 1;
      },
    },
  } as unknown as Daemon;
  return { daemon, done, events, pauses };
}

async function steered(t: ExecutionContext, operator = true) {
  const state = temporaryFolder(t);
  const made = parts(state);
  const uid = operator ? 0 : 1000;
  const { server } = await fakeDaemon(t, steeringHandlers(made.daemon), { credentials: () => ({ pid: 77, uid, gid: uid, groups: [uid] }), operatorGid: null });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  return { ...made, client, state };
}

test('each action is done, and the log says who did it', async (t) => {
  const { client, done, events } = await steered(t);
  await client.call('cancel', { id: 'r12', errno: 'EIO' });
  await client.call('cancel', { id: 'j3' });
  t.deepEqual(await client.call('setPriority', { ids: ['r12', 'r13', 'r50'], priority: 7 }), { changed: 2 });
  await client.call('pause', { kind: 'user', name: '1000', reason: 'too much' });
  await client.call('pause', { kind: 'volume', name: 'V1' });
  t.deepEqual(await client.rows('pauses'), [
    { kind: 'user', name: '1000', reason: 'too much', since: '2026-03-01T12:00:00.000Z' },
    { kind: 'volume', name: 'V1', reason: null, since: '2026-03-01T12:00:00.000Z' },
  ]);
  await client.call('resume', { kind: 'volume', name: 'V1' });
  t.deepEqual(await client.call('retry', { ids: ['r1', 'r2'] }), { retried: 1, failed: [{ id: 'r2', code: 'ENOENT', message: 'r2 did not fail lately: see hsm failed' }] });
  await client.call('setDrive', { name: 'drive0', admin: 'down', reason: 'cleaning' });
  t.deepEqual(done, [[12, 'EIO', null], [12, 7], [13, 7], ['drive0', 'down', 'cleaning']]);
  const pid = 77;
  t.deepEqual(events, [
    ['cancel', 0, { id: 'r12', errno: 'EIO', pid }],
    ['cancel', 0, { id: 'j3', errno: null, pid }],
    ['priority', 0, { ids: 'r12 r13', priority: 7, pid }],
    ['pause', 0, { kind: 'user', uid: 1000, reason: 'too much', pid }],
    ['hold', 0, { kind: 'volume', name: 'V1', reason: null, pid }],
    ['unhold', 0, { kind: 'volume', name: 'V1', pid }],
    ['retry', 0, { ids: 'r1', pid }],
    ['drive', 0, { name: 'drive0', admin: 'down', reason: 'cleaning', pid }],
  ]);
});

const refused = test.macro(async (t, method: Method, params: Record<string, unknown>, code: string) => {
  const { client, done, events, pauses } = await steered(t);
  await t.throwsAsync(client.call(method, params), { code });
  t.deepEqual([done, events, pauses.rows], [[], [], []]);
});

test('what is not queued is not cancelled', refused, 'cancel', { id: 'r9' }, 'ENOENT');
test('an errno that a reader cannot get', refused, 'cancel', { id: 'r12', errno: 'ENOENT' }, 'USAGE');
test('a priority of a request that is not there', refused, 'setPriority', { ids: ['r99'], priority: 1 }, 'ENOENT');
test('a priority beyond the highest', refused, 'setPriority', { ids: ['r12'], priority: 1001 }, 'USAGE');
test('a priority of no request', refused, 'setPriority', { ids: [], priority: 1 }, 'USAGE');
test('a priority of a job', refused, 'setPriority', { ids: ['j1'], priority: 1 }, 'USAGE');
test('a pause of a thing that there is not', refused, 'pause', { kind: 'planet', name: 'x' }, 'USAGE');
test('a pause of a volume that there is not', refused, 'pause', { kind: 'volume', name: 'V2' }, 'NO_VOLUME');
test('a pause of a drive that there is not', refused, 'pause', { kind: 'drive', name: 'drive7' }, 'NO_DRIVE');
test('a pause of a user by name', refused, 'pause', { kind: 'user', name: 'anna' }, 'USAGE');
test('a pause of a volume without its name', refused, 'pause', { kind: 'volume' }, 'USAGE');
test('an end of a pause that there is not', refused, 'resume', { kind: 'all' }, 'ENOENT');
test('a retry of what did not fail', refused, 'retry', { ids: ['r2'] }, 'ENOENT');
test('a retry of what is no stub any more', refused, 'retry', { ids: ['r99'] }, 'EINVAL');

test('one that cannot be retried does not keep the others from it', async (t) => {
  const { client, events } = await steered(t);
  t.deepEqual(await client.call('retry', { ids: ['r99', 'r1'] }), { retried: 1, failed: [{ id: 'r99', code: 'EINVAL', message: 'r99: no stub any more' }] });
  t.deepEqual(events, [['retry', 0, { ids: 'r1', pid: 77 }]]);
});

test('who is no operator may cancel what is theirs, see pauses, and nothing else', async (t) => {
  const { client, done, events } = await steered(t, false);
  await client.call('cancel', { id: 'r12' });
  t.deepEqual(done, [[12, 'EAGAIN', 1000], ['told', { id: 'r12', errno: null, uid: 1000, pid: 77 }]]);
  t.deepEqual(events, [], 'the event log is not theirs to fill');
  t.deepEqual(await client.rows('pauses'), []);
  await t.throwsAsync(client.call('cancel', { id: 'j3' }), { code: 'EPERM' });
  for (const method of ['setPriority', 'pause', 'resume', 'retry', 'setDrive'] as const) {
    t.is(access[method], 'operators');
    await t.throwsAsync(client.call(method, {}), { code: 'EPERM' });
  }
});

test('all requests of a user, of a volume or at all are cancelled at once; who is no operator cancels his own among them', async (t) => {
  const operator = await steered(t);
  t.deepEqual(await operator.client.call('cancel', { user: '1000', errno: 'EPERM' }), { cancelled: 5 });
  await operator.client.call('cancel', { volume: 'V1' });
  await operator.client.call('cancel', { all: true });
  t.deepEqual(operator.done, [['EPERM', { uid: 1000, volume: null }], ['EAGAIN', { uid: null, volume: 'V1' }], ['EAGAIN', { uid: null, volume: null }]]);
  t.deepEqual(operator.events[0], ['cancel', 0, { user: '1000', errno: 'EPERM', pid: 77 }]);
  const { client, done, events } = await steered(t, false);
  for (const what of [{ user: '1000' }, { volume: 'V1' }, { all: true }]) await client.call('cancel', what);
  t.deepEqual(done.filter((each) => Array.isArray(each) && each[0] === 'EAGAIN'), [['EAGAIN', { uid: 1000, volume: null }], ['EAGAIN', { uid: 1000, volume: 'V1' }], ['EAGAIN', { uid: 1000, volume: null }]]);
  t.deepEqual(events, []);
  await t.throwsAsync(client.call('cancel', { user: '1001' }), { code: 'EPERM' });
});

for (const params of [{}, { user: '1000', all: true }, { user: 'anna' }, { all: false }]) test(`a cancel of ${JSON.stringify(params)}`, refused, 'cancel', params, 'USAGE');

test('what is paused outlives the daemon', async (t) => {
  const { client, state } = await steered(t);
  await client.call('pause', { kind: 'all', reason: 'robot' });
  await client.call('pause', { kind: 'drive', name: 'drive0' });
  await client.call('pause', { kind: 'user', name: '1000' });
  await client.call('resume', { kind: 'all' });
  const next = parts(state);
  restorePauses(next.daemon);
  t.deepEqual(next.pauses.rows, [
    { pause: { kind: 'drive', name: 'drive0' }, reason: null, since },
    { pause: { kind: 'user', uid: 1000 }, reason: null, since },
  ]);
});

test('a damaged file of pauses keeps no daemon from starting', (t) => {
  const state = temporaryFolder(t);
  writeFileSync(join(state, 'pauses.json'), '[{"kind":"all"');
  const { daemon, done, pauses } = parts(state);
  restorePauses(daemon);
  t.deepEqual([pauses.rows, done], [[], [['logged', ['error', 'file']]]]);
  t.true(readFileSync(join(state, 'pauses.json'), 'utf8').length > 0);
});

test('a pause that cannot be written down is in force, and the client is told', async (t) => {
  const made = parts('/proc/nowhere');
  const { server } = await fakeDaemon(t, steeringHandlers(made.daemon), { credentials: () => ({ pid: 77, uid: 0, gid: 0, groups: [0] }) });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  await t.throwsAsync(client.call('pause', { kind: 'all' }), { code: 'EIO', message: /will not outlive the daemon/ });
  t.is(made.pauses.rows.length, 1);
});
