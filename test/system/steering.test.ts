/** What operators ask of the queue holds over kill -9 and restarts of the daemon, and readers get their bytes in the end. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { kernelTest } from '../fixtures/loopfs.ts';
import { type Managed, managed } from '../fixtures/managed.ts';
import { until } from '../fixtures/until.ts';

const realTest = kernelTest(test);
const files = 40;

const hashOf = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

/** Stubs on one volume: their paths, and the hash of each. */
async function archived(t: ExecutionContext): Promise<{ hsm: Managed; folder: string; volume: string; hashes: Map<string, string> }> {
  const hsm = await managed(t, 'ext4', { sizeMiB: 256 });
  const folder = join(hsm.mount, 'cold');
  mkdirSync(folder);
  const hashes = new Map<string, string>();
  for (let i = 0; i < files; i += 1) {
    const data = Buffer.alloc(20_000 + i, `file ${i} `);
    writeFileSync(join(folder, `f${i}`), data);
    hashes.set(join(folder, `f${i}`), hashOf(data));
  }
  const [summary] = await hsm.json('archive', '--older-than', '0s', folder);
  t.is(summary?.['released'], files);
  const [first] = await hsm.json('ls', join(folder, 'f0'));
  return { hsm, folder, volume: String(first?.['volume']), hashes };
}

const states = async (hsm: Managed, folder: string): Promise<string[]> => (await hsm.json('ls', '-R', folder)).map(({ state }) => String(state));
const jobState = async (hsm: Managed): Promise<unknown> => (await hsm.json('jobs', '--limit', '1'))[0]?.['state'];

/** The daemon that the keeper started after the one of `pid`. */
const nextDaemon = (hsm: Managed, pid: number): Promise<number> =>
  until(async () => {
    const ran = await hsm.hsm('status', '--json');
    const next = ran.exitCode === 0 ? (JSON.parse(ran.stdout) as { daemon: { pid: number } }).daemon.pid : pid;
    return next === pid ? null : next;
  });

realTest('a held volume stays held over a kill -9 of the daemon; its reader and its recall job go on once it is let go', async (t) => {
  const { hsm, folder, volume, hashes } = await archived(t);
  t.is((await hsm.hsm('hold', '--reason', 'squeaks', volume)).exitCode, 0);
  const wanted = join(folder, 'f3');
  const reader = execa('sha256sum', [wanted], { timeout: 120_000, reject: false });
  let hasRead = false;
  void reader.then(() => (hasRead = true));
  const job = hsm.hsm('recall', folder);
  await until(async () => ((await hsm.json('queue')).length >= files ? true : null));
  const { pid } = (await hsm.status()).daemon;
  process.kill(pid, 'SIGKILL');
  await nextDaemon(hsm, pid);
  t.not((await job).exitCode, 0, 'the client of the job was cut off');
  const { pauses } = await hsm.status();
  t.deepEqual(pauses.map(({ kind, name, reason }) => ({ kind, name, reason })), [{ kind: 'volume', name: volume, reason: 'squeaks' }]);
  const queue = await until(async () => {
    const rows = await hsm.json('queue');
    return rows.length >= files ? rows : null;
  });
  t.true(queue.every(({ state, reason }) => state === 'queued' && String(reason).includes('squeaks')));
  t.is((queue.find(({ path }) => path === wanted)?.['waiters'] as unknown[]).length, 1);
  t.true((await states(hsm, folder)).every((state) => state === 'stub' || state === 'recalling'));
  t.false(hasRead);
  t.is((await hsm.hsm('unhold', volume)).exitCode, 0);
  const read = await reader;
  t.deepEqual([read.exitCode, read.stdout.split(' ')[0]], [0, hashes.get(wanted)]);
  await until(async () => ((await jobState(hsm)) === 'done' ? true : null));
  t.true((await states(hsm, folder)).every((state) => state === 'archived'));
  for (const [path, hash] of hashes) t.is(hashOf(readFileSync(path)), hash, path);
  const events = await hsm.json('events');
  t.deepEqual(events.slice(0, 2).map(({ kind, uid }) => [kind, uid]), [['unhold', 0], ['hold', 0]]);
  t.true(events.slice(0, 2).every((event) => Number(event['pid']) > 0));
});

realTest('a recall job goes on after a restart of the daemon, and a job that was cancelled does not', async (t) => {
  const { hsm, folder } = await archived(t);
  t.is((await hsm.hsm('pause', 'all')).exitCode, 0);
  const job = hsm.hsm('recall', folder);
  await until(async () => ((await hsm.json('queue')).length === files ? true : null));
  await hsm.stopDaemon();
  t.not((await job).exitCode, 0);
  await hsm.startDaemon();
  await until(async () => ((await hsm.json('queue')).length === files ? true : null));
  t.is(await jobState(hsm), 'running');
  t.is((await hsm.hsm('cancel', 'j2')).exitCode, 0);
  await until(async () => ((await jobState(hsm)) === 'cancelled' ? true : null));
  await hsm.stopDaemon();
  await hsm.startDaemon();
  t.deepEqual(await hsm.json('queue'), []);
  const again = hsm.hsm('recall', folder);
  await until(async () => ((await hsm.json('queue')).length === files ? true : null));
  await hsm.stopDaemon();
  await again;
  await hsm.startDaemon();
  t.is((await hsm.hsm('resume', 'all')).exitCode, 0);
  await until(async () => ((await jobState(hsm)) === 'done' ? true : null));
  t.true((await states(hsm, folder)).every((state) => state === 'archived'));
});

realTest('priorities decide which tape file comes first, and a cancelled reader gets the errno of choice', async (t) => {
  const { hsm, folder, volume } = await archived(t);
  await hsm.hsm('hold', volume);
  const readers = [1, 2].map((i) => execa('cat', [join(folder, `f${i}`)], { timeout: 120_000, reject: false, buffer: false }));
  const queue = await until(async () => {
    const rows = await hsm.json('queue');
    return rows.length === 2 ? rows : null;
  });
  const [first, second] = [1, 2].map((i) => String(queue.find(({ path }) => path === join(folder, `f${i}`))?.['id']));
  t.is((await hsm.hsm('priority', '300', second ?? '')).exitCode, 0);
  const rows = await hsm.json('queue');
  t.deepEqual(rows.map(({ id, priority }) => [id, priority]), [[second, 300], [first, 100]]);
  t.is((await hsm.hsm('cancel', first ?? '', '--errno', 'EBUSY')).exitCode, 0);
  t.is((await readers[0])?.exitCode, 1);
  t.deepEqual((await hsm.json('failed')).map(({ id, reason }) => [id, reason]), [[first, 'cancelled']]);
  t.is((await hsm.hsm('retry', '--all')).exitCode, 0);
  await hsm.hsm('unhold', volume);
  t.is((await readers[1])?.exitCode, 0);
  await until(async () => ((await hsm.json('ls', join(folder, 'f1')))[0]?.['state'] === 'archived' ? true : null));
});
