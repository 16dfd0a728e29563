import { userInfo } from 'node:os';
import test from 'ava';
import type { QueueLine } from '../../src/daemon/protocol.ts';
import type { Handlers } from '../../src/daemon/server.ts';
import { fakeDaemon } from '../fixtures/fake-daemon.ts';
import { HsmError } from '../../src/errors.ts';
import { hsm, jsonLines } from '../fixtures/hsm.ts';

const line: QueueLine = { id: 'r1', path: '/data/a', state: 'queued', volume: 'V1', container: 1, size: 2048, done: 0, position: 1, eta: 30, age: 5, priority: 100, reason: null, waiters: [{ pid: 77, uid: 0, exe: '/usr/bin/cat' }] };
const queue: readonly QueueLine[] = [
  line,
  { ...line, id: 'r2', state: 'restoring', done: 1024, position: null, age: 60, eta: 3, waiters: [{ pid: 78, uid: 4242, exe: '/usr/bin/cat' }, { pid: 79, uid: 0, exe: null }] },
  { ...line, id: 'r3', volume: 'V2', eta: null, waiters: [] },
  { ...line, id: 'r4', path: '/data/\u001b[2J', state: 'failed', reason: 'the tape is torn' },
];
const status = { drives: [{ name: 'drive0', state: 'busy', admin: 'up', reason: null, barcode: 'V1' }], volumes: [] };
const queued: Handlers = {
  queue: async (_, call) => {
    for (const row of queue) await call.row(row);
  },
  status: async () => status,
};

const sends = test.macro(async (t, words: readonly string[], method: 'cancel' | 'setPriority' | 'pause' | 'resume' | 'retry', params: unknown, said: string) => {
  const asked: unknown[] = [];
  const take = async (each: unknown): Promise<object> => (asked.push(each), { cancelled: 2, retried: 1, failed: [] });
  const { config } = await fakeDaemon(t, { ...queued, [method]: take });
  const { exitCode, stdout } = await hsm([...words, '--config', config]);
  t.deepEqual([exitCode, asked, stdout], [0, [params], said]);
});

test('priority', sends, ['priority', '200', 'r1', 'r2'], 'setPriority', { ids: ['r1', 'r2'], priority: 200 }, 'priority 200: r1 r2');
test('pause all', sends, ['pause', 'all', '--reason', 'robot'], 'pause', { kind: 'all', reason: 'robot' }, 'all recalls wait');
test('pause user', sends, ['pause', 'user', 'root'], 'pause', { kind: 'user', name: '0', reason: null }, 'recalls of user root wait');
test('resume drive', sends, ['resume', 'drive', 'drive0'], 'resume', { kind: 'drive', name: 'drive0' }, 'recalls of drive drive0 go on');
test('hold', sends, ['hold', 'V1', '--reason', 'squeaks'], 'pause', { kind: 'volume', name: 'V1', reason: 'squeaks' }, 'V1 is held');
test('unhold', sends, ['unhold', 'V1'], 'resume', { kind: 'volume', name: 'V1' }, 'V1 may be read');
test('retry', sends, ['retry', 'r4'], 'retry', { ids: ['r4'] }, 'r4 is recalled again');
test('cancel --user', sends, ['cancel', '--user', 'root', '--errno', 'EPERM'], 'cancel', { user: '0', errno: 'EPERM' }, 'cancelled 2 requests of root');
test('cancel --volume', sends, ['cancel', '--volume', 'V1'], 'cancel', { volume: 'V1' }, 'cancelled 2 requests on V1');
test('cancel --all --force', sends, ['cancel', '--all', '--force'], 'cancel', { all: true }, 'cancelled 2 requests in all');
test('retry --all', sends, ['retry', '--all'], 'retry', { ids: ['r4'] }, 'r4 is recalled again');

const misused = test.macro(async (t, words: readonly string[]) => {
  const { config } = await fakeDaemon(t, queued);
  const { exitCode, stderr } = await hsm([...words, '--config', config]);
  t.is(exitCode, 2, stderr);
});

test('a pause of everything has no name', misused, ['pause', 'all', 'x']);
test('a pause of a user names one', misused, ['pause', 'user']);
test('a pause of somebody who is not there', misused, ['pause', 'user', 'no-such-user']);
test('a cancel of nothing', misused, ['cancel']);
test('a cancel of two things', misused, ['cancel', 'r1', '--user', 'root']);
test('a cancel by force of one thing', misused, ['cancel', 'r1', '--force']);

test('all requests are not cancelled without --force', async (t) => {
  const { config } = await fakeDaemon(t, queued);
  t.is((await hsm(['cancel', '--all', '--config', config])).exitCode, 5);
});

test('one that fails keeps no other one from being held or retried: a line for it, and exit code 3', async (t) => {
  const { config } = await fakeDaemon(t, {
    ...queued,
    pause: async ({ name }) => {
      if (name === 'NOSUCH') throw new HsmError('NO_VOLUME', 'no volume is named NOSUCH');
      return {};
    },
    retry: async () => ({ retried: 1, failed: [{ id: 'r2', code: 'ENOENT', message: 'r2 did not fail lately' }] }),
  });
  const held = await hsm(['hold', 'V1', 'NOSUCH', 'V2', '--config', config]);
  t.deepEqual([held.exitCode, held.stdout, held.stderr], [3, 'V1 is held\nV2 is held', 'hsm: no volume is named NOSUCH']);
  t.is((await hsm(['hold', 'NOSUCH', '--config', config])).exitCode, 1);
  const again = await hsm(['retry', 'r4', 'r2', '--config', config]);
  t.deepEqual([again.exitCode, again.stdout, again.stderr], [3, '1 requests are recalled again', 'hsm: r2 did not fail lately']);
});

test('a retry of nothing', misused, ['retry']);
test('a retry of everything and something', misused, ['retry', '--all', 'r1']);
test('a priority that is none', misused, ['priority', 'high', 'r1']);

test('blocked lists each process with what it waits for, the longest wait first', async (t) => {
  const { config } = await fakeDaemon(t, queued);
  const rows = jsonLines((await hsm(['blocked', '--json', '--config', config])).stdout);
  t.deepEqual(rows.map(({ pid }) => pid), [78, 79, 77]);
  t.deepEqual(rows[2], { pid: 77, uid: 0, exe: '/usr/bin/cat', request: 'r1', path: '/data/a', state: 'queued', volume: 'V1', position: 1, eta: 30, age: 5 });
  t.regex((await hsm(['blocked', '--config', config])).stdout, new RegExp(`\n +77 +${userInfo({ encoding: 'utf8' }).uid === 0 ? 'root' : '\\w+'} +cat +5s +30s +1 +queued +V1 +r1 +/data/a$`));
});

test('failed lists what failed and why, its name made harmless', async (t) => {
  const { config } = await fakeDaemon(t, queued);
  t.deepEqual(jsonLines((await hsm(['failed', '--json', '--config', config])).stdout), [JSON.parse(JSON.stringify(queue[3]))]);
  t.regex((await hsm(['failed', '--config', config])).stdout, /r4 .*\\e\[2J.*the tape is torn$/);
});

test('queue --per adds up', async (t) => {
  const { config } = await fakeDaemon(t, queued);
  const per = async (what: string): Promise<Record<string, unknown>[]> => jsonLines((await hsm(['queue', '--per', what, '--json', '--config', config])).stdout);
  t.deepEqual(await per('tape'), [
    { tape: 'V1', requests: 2, active: 1, processes: 3, bytes: 4096, done: 1024, oldest: 60, eta: 30, location: 'drive0' },
    { tape: 'V2', requests: 1, active: 0, processes: 0, bytes: 2048, done: 0, oldest: 5, eta: null, location: null },
  ]);
  t.deepEqual((await per('user')).map(({ user }) => user), [0, 4242, 'job']);
  t.deepEqual((await per('program')).map(({ program }) => program).sort(), ['-', 'cat', 'job']);
  t.regex((await hsm(['queue', '--per', 'tape', '--config', config])).stdout, /^TAPE +FILES +ACTIVE +BLOCKED .*\nV1 +2 +1 +3 +4\.0 KiB +1m 00s +30s +drive0/);
});

test('events are shown with who did them', async (t) => {
  const event = { id: 9, at: '2026-03-01T12:00:00.000Z', kind: 'hold', uid: 0, pid: 55, data: { kind: 'volume', name: 'V1', reason: 'squeaks', pid: 55 } };
  let limit: unknown;
  const { config } = await fakeDaemon(t, {
    events: async (params, call) => {
      limit = params['limit'];
      await call.row(event);
    },
  });
  t.regex((await hsm(['events', '--limit', '3', '--config', config])).stdout, /\n2026-03-01T12:00:00\.000Z +hold +root +55 +kind volume, name V1, reason squeaks$/);
  t.is(limit, 3);
  t.deepEqual(jsonLines((await hsm(['events', '--json', '--config', config])).stdout), [event]);
});
