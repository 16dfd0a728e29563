/** kill -9 of the daemon under fire: KILLS says how often on each filesystem (docs/reliability.md). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { withClient, type Client } from '../../../src/daemon/client.ts';
import type { Status } from '../../../src/daemon/status.ts';
import { cycle, right, startFire } from '../../fixtures/fire.ts';
import { killAt, type Moment } from '../../fixtures/kill-at.ts';
import { filesystemTypes, kernelTest, type FilesystemType } from '../../fixtures/loopfs.ts';
import { managed, type Managed } from '../../fixtures/managed.ts';
import { seededRandom } from '../../fixtures/random.ts';
import { until } from '../../fixtures/until.ts';

const realTest = kernelTest(test);
const kills = Number(process.env['KILLS'] ?? 5);

const moment = (call: Moment['call'], path: string, n = 1): Moment[] => (['before', 'after'] as const).map((when) => ({ when, call, path, n }));

/** Every step that leaves something behind: of a recall, an eviction, an archive, and of the catalogue's commits. */
const moments: readonly Moment[] = [
  ...moment('fallocate', '/fire/'),
  ...moment('pwrite', '/fire/', 3),
  ...moment('fsync', '/fire/', 2),
  ...moment('futimens', '/fire/'),
  ...moment('fremovexattr', '/fire/'),
  ...moment('sendmsg', 'socket:', 2),
  ...moment('fsetxattr', '/fire/'),
  ...moment('punch', '/fire/', 2),
  ...moment('fdatasync', '.tap'),
  ...moment('pwrite', 'catalogue.db', 5),
];

interface Plan {
  readonly count: number;
  /** How old a daemon is at least when it is killed. */
  readonly ageMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

type Kill = (pid: number, n: number, client: Client) => Promise<void>;

/** Runs `kill` while users and an operator are at work; it is given the daemon's pid and a client of it, and resolves when the daemon was killed. */
async function underFire(t: ExecutionContext, type: FilesystemType, { count, ageMs = 0, env = {} }: Plan, kill: Kill): Promise<void> {
  const limitS = 120 + 8 * count;
  t.timeout((limitS + 200) * 1000);
  const hsm = await managed(t, type, { sizeMiB: 512, init: ['--capacity', '64G', '--cartridges', '2'], env, daemonLimitMs: (limitS + 100) * 1000 });
  const users = await startFire(t, { mount: hsm.mount, folder: 'fire' }, { files: 32, users: 'rrrrrrrrrwtm', paceMs: 10, limitS });
  let done = false;
  const socket = join(hsm.folder, 'state', 'hsm.sock');
  const cycling = cycle(socket, join(hsm.mount, 'fire'), () => done);
  try {
    for (let n = 0, dead = 0; n < count; n += 1) {
      const pid = await servingPid(hsm, dead, ageMs);
      await withClient(socket, (client) => kill(pid, n, client));
      dead = pid;
    }
  } finally {
    done = true;
  }
  const cycled = await cycling;
  const burnt = await users.stop();
  t.log(JSON.stringify({ kills: count, ...cycled, ...burnt }));
  t.like(burnt, right, users.complaints());
  t.true(cycled.released > 0 && burnt.reads > 100, 'nothing happened');
  t.is(hsm.output().split('starting it again').length - 1, count, 'kills that the keeper saw');
}

/** Of a daemon other than `dead` that answers and is `ageMs` old: the keeper takes its time with one that dies young. */
const servingPid = (hsm: Managed, dead: number, ageMs: number): Promise<number> =>
  until(async () => {
    const { exitCode, stdout } = await hsm.hsm('--json', 'status');
    if (exitCode !== 0) return null;
    const { pid, startedAt } = (JSON.parse(stdout) as Status).daemon;
    return pid === dead || Date.now() - Date.parse(startedAt) < ageMs ? null : pid;
  });

const recalling = (status: unknown): boolean => {
  const { queued, active } = (status as Status).recalls;
  return queued + active > 0;
};

const isDead = (pid: number): boolean => {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
};

for (const type of filesystemTypes) {
  realTest(`on ${type} a daemon that is killed at random again and again fails no read`, async (t) => {
    const random = seededRandom(kills);
    await underFire(t, type, { count: kills }, async (pid, _n, client) => {
      await sleep(random() * 2000);
      await until(async () => recalling(await client.call('status')));
      await sleep(random() * 20);
      process.kill(pid, 'SIGKILL');
    });
  });
}

realTest('a daemon that is killed before or after any step of its work fails no read', async (t) => {
  const { env, arm, struck } = await killAt(t);
  await underFire(t, 'ext4', { count: moments.length, ageMs: 2000, env }, async (pid, n) => {
    arm(moments[n]!);
    await until(struck, 60_000, JSON.stringify(moments[n]));
    await until(() => isDead(pid));
  });
});
