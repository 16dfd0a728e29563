import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { execa } from 'execa';
import { withClient } from '../../../src/daemon/client.ts';
import { compiled } from '../../fixtures/compiled.ts';
import { kernelTest } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';
import { makeStubs, read } from '../../fixtures/stubs.ts';
import { until } from '../../fixtures/until.ts';

const realTest = kernelTest(test);
const closer = fileURLToPath(new URL('../../fixtures/closer.py', import.meta.url));

/** True when all its threads stand still. */
const isStopped = (pid: number): boolean => readdirSync(`/proc/${pid}/task`).every((thread) => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8')));

realTest('an overflow of the event queue is an incident in the log, the status and the catalogue, and is recorded once', async (t) => {
  const queue = Number(readFileSync('/proc/sys/fs/fanotify/max_queued_events', 'utf8'));
  if (queue > 100_000) {
    t.log(`skipped: fs.fanotify.max_queued_events is ${queue}, too many to fill`);
    t.pass();
    return;
  }
  const hsm = await managed(t, 'ext4', { env: { LD_PRELOAD: await compiled(t, 'limited-queue', 'library') } });
  const [stub = ''] = await makeStubs(hsm, { stub: 'original' });
  t.is((await hsm.status()).keeper.overflow, null);
  const folder = join(hsm.mount, 'many');
  mkdirSync(folder);
  const user = execa('python3', [closer, folder, String(queue + 1000)], { reject: false, timeout: 300_000 });
  let words = '';
  user.stdout.on('data', (chunk: Buffer) => (words += chunk.toString()));
  await until(() => words.includes('open'), 120_000, 'that many open files');
  const { keeper } = await hsm.status();
  process.kill(keeper.pid, 'SIGSTOP');
  try {
    // Its last thread may go on reading for a while.
    await until(() => isStopped(keeper.pid));
    user.stdin.write('\n');
    await until(() => words.includes('closed'), 120_000, 'that many closed files');
  } finally {
    process.kill(keeper.pid, 'SIGCONT');
  }
  const overflow = await until(async () => (await hsm.status()).keeper.overflow);
  t.is(overflow.count, 1);
  t.true(Date.now() - Date.parse(overflow.at) < 600_000);
  t.regex((await hsm.hsm('status')).stdout, /INCIDENT +the kernel lost events/);
  t.regex(hsm.output(), /the event queue overflowed/);
  const logged = async (): Promise<{ at: string; fresh: number }[]> => {
    const rows = await withClient(join(hsm.folder, 'state', 'hsm.sock'), (client) => client.rows('events', { limit: 100 }));
    return (rows as { kind: string; data: { at: string; fresh: number } }[]).filter(({ kind }) => kind === 'queue-overflow').map(({ data }) => data);
  };
  t.like(await until(async () => (await logged())[0]), { at: overflow.at, fresh: 1 });
  t.is((await read(stub)).stdout, 'original');

  // A daemon that is started anew is told, and records nothing twice.
  const { daemon } = await hsm.status();
  process.kill(daemon.pid, 'SIGKILL');
  const next = await until(async () => {
    const { exitCode, stdout } = await hsm.hsm('--json', 'status');
    return exitCode === 0 && stdout.includes(overflow.at) ? stdout : null;
  });
  t.not((JSON.parse(next) as { daemon: { pid: number } }).daemon.pid, daemon.pid);
  t.is((await logged()).length, 1);
});
