import { readFileSync, readdirSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { compiled } from '../../fixtures/compiled.ts';
import { kernelTest } from '../../fixtures/loopfs.ts';
import { managed, type Managed } from '../../fixtures/managed.ts';
import { holdRecalls, makeStubs, read } from '../../fixtures/stubs.ts';
import { until } from '../../fixtures/until.ts';

const realTest = kernelTest(test);
// Each answer wakes all who wait: the kernel's work grows with the square (docs/reliability.md).
const readers = Number(process.env['CROWD'] ?? 1500);

const memoryMiB = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** How many readers are in the queue, in how many requests. */
const waiting = async (hsm: Managed): Promise<string> => {
  const rows = (await hsm.json('queue')).filter(({ state }) => state !== 'failed');
  return `${rows.reduce((sum, row) => sum + (row['waiters'] as unknown[]).length, 0)} in ${rows.length}`;
};

/** `readers` threads want one of `files` stubs each, all before the first gets its answer. */
async function crowd(t: ExecutionContext, files: number): Promise<void> {
  t.timeout(300_000);
  const program = await compiled(t, 'crowd');
  const hsm = await managed(t, 'ext4', { sizeMiB: 1024 });
  await makeStubs(hsm, Object.fromEntries(Array.from({ length: files }, (_, index) => [`f${index}`, `${index}\n`.repeat(500)])));
  const { daemon, keeper } = await hsm.status();
  const before = [memoryMiB(daemon.pid), memoryMiB(keeper.pid)] as const;
  const release = await holdRecalls(hsm);
  const child = execa(program, [hsm.mount, String(files), String(readers)], { reject: false, timeout: 240_000 });
  await until(async () => (await waiting(hsm)) === `${readers} in ${files}`, 120_000, 'a queue of all readers');
  const startedAt = performance.now();
  t.is((await hsm.status()).recalls.queued, files);
  const used = { daemonMiB: memoryMiB(daemon.pid), keeperMiB: memoryMiB(keeper.pid), daemonFds: openFiles(daemon.pid), keeperFds: openFiles(keeper.pid), statusMs: performance.now() - startedAt };
  const releasedAt = performance.now();
  await release();
  const { stdout, stderr } = await child;
  t.log(JSON.stringify({ before, ...used, allAnsweredMs: performance.now() - releasedAt }));
  t.deepEqual(JSON.parse(stdout), { right: readers, wrong: 0, failed: 0 }, stderr);
  t.true(openFiles(daemon.pid) < 200 && openFiles(keeper.pid) < 200, 'descriptors are left open');
}

realTest('very many readers of one stub all get it', (t) => crowd(t, 1));
realTest('very many stubs that are wanted at once all come back', (t) => crowd(t, readers));

realTest('readers that are stopped or killed keep nobody else waiting', async (t) => {
  const hsm = await managed(t, 'ext4');
  const names = Array.from({ length: 12 }, (_, index) => `f${index}`);
  const paths = await makeStubs(hsm, Object.fromEntries(names.map((name) => [name, name.repeat(5000)])));
  const release = await holdRecalls(hsm);
  const all = names.map((_, index) => execa('cat', [paths[index]!], { reject: false, timeout: 120_000 }));
  await until(async () => (await waiting(hsm)) === '12 in 12');
  for (const [index, reader] of all.entries()) if (index % 3 !== 2) reader.kill(index % 3 === 0 ? 'SIGSTOP' : 'SIGKILL');
  // The dead leave the queue; who is stopped stays in it.
  await until(async () => (await waiting(hsm)) === '8 in 8');
  await release();
  for (const [index, reader] of all.entries()) {
    if (index % 3 === 2) t.is((await reader).stdout, names[index]!.repeat(5000));
    if (index % 3 === 1) t.is((await reader).signal, 'SIGKILL');
  }
  // Another reader of a stub whose first reader is stopped.
  t.is((await read(paths[0]!)).stdout, names[0]!.repeat(5000));
  for (const [index, reader] of all.entries()) {
    if (index % 3 !== 0) continue;
    reader.kill('SIGCONT');
    t.is((await reader).stdout, names[index]!.repeat(5000));
  }
  t.is((await read(paths[1]!)).stdout, names[1]!.repeat(5000));
});
