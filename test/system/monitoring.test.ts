/** A real daemon is scraped while it works. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { definitions } from '../../src/monitoring/definitions.ts';
import { temporaryFolder } from '../fixtures/fake-daemon.ts';
import { jsonLines } from '../fixtures/hsm.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { type Managed, managed } from '../fixtures/managed.ts';
import { projectRoot } from '../../src/native/index.ts';
import { expressionsOf, get, hasPromtool, namesIn, namesInExpression, owner, promtool, valueOf } from '../fixtures/scrape.ts';
import { until } from '../fixtures/until.ts';

const realTest = kernelTest(test);
const scrape = async (hsm: Managed): Promise<string> => (await get({ socketPath: join(hsm.folder, 'state/metrics.sock') })).body;

/** Ten stubs of 20,000 bytes. */
async function stubs(t: ExecutionContext): Promise<{ hsm: Managed; folder: string }> {
  const hsm = await managed(t, 'ext4', { sizeMiB: 256 });
  const folder = join(hsm.mount, 'cold');
  mkdirSync(folder);
  for (let i = 0; i < 10; i += 1) writeFileSync(join(folder, `f${i}`), Buffer.alloc(20_000, `${i}`));
  const [summary] = await hsm.json('archive', '--older-than', '0s', folder);
  t.is(summary?.['released'], 10);
  return { hsm, folder };
}

realTest('a scrape tells of recalls, drives, volumes, filesystems, jobs and the keeper', async (t) => {
  const { hsm, folder } = await stubs(t);
  t.is(readFileSync(join(folder, 'f3')).length, 20_000);
  const text = await until(async () => {
    const now = await scrape(hsm);
    return (valueOf(now, 'hsm_keeper_events_total{kind="resident"}') ?? 0) > 0 && valueOf(now, `hsm_files{filesystem="${hsm.mount}",state="stub"}`) === 9 ? now : null;
  });
  const value = (sample: string): number => valueOf(text, sample) ?? Number.NaN;
  t.is(value('hsm_recalled_files_total'), 1);
  t.is(value('hsm_recalled_bytes_total'), 20_000);
  t.is(value('hsm_recall_wait_seconds_count{outcome="ok"}'), 1);
  t.is(value('hsm_recall_wait_seconds_bucket{outcome="ok",le="+Inf"}'), 1);
  t.is(value('hsm_answers_total{answer="allow"}'), 1);
  t.is(value('hsm_queue_age_seconds'), 0);
  t.is(value('hsm_waiting_processes'), 0);
  t.is(value('hsm_jobs_ended_total{kind="archive",state="done"}'), 1);
  t.is(value('hsm_job_files_total{kind="archive"}'), 10);
  t.is(value('hsm_job_bytes_total{kind="archive"}'), 200_000);
  t.true(Math.abs(value('hsm_job_done_timestamp_seconds{kind="archive"}') - Date.now() / 1000) < 600);
  t.true(Math.abs(value('hsm_catalogue_copied_timestamp_seconds') - Date.now() / 1000) < 600);
  t.is(value(`hsm_filesystem_guarded{filesystem="${hsm.mount}"}`), 1);
  t.true(value(`hsm_filesystem_free_bytes{filesystem="${hsm.mount}"}`) < value(`hsm_filesystem_size_bytes{filesystem="${hsm.mount}"}`));
  t.is(value('hsm_drive_up{drive="drive0"}'), 1);
  t.is(value('hsm_drive_mounts_total{drive="drive0"}') + value('hsm_drive_mounts_total{drive="drive1"}'), 1);
  t.true(value('hsm_drive_written_bytes_total{drive="drive0"}') + value('hsm_drive_written_bytes_total{drive="drive1"}') > 200_000);
  t.is(value('hsm_volumes{pool="default",state="writable"}'), 1);
  t.true(value('hsm_keeper_events_total{kind="stubs"}') >= 1);
  t.is(value('hsm_keeper_first_touch_seconds_count'), value('hsm_keeper_events_total{kind="resident"}'));
  t.is(value('hsm_keeper_queue_overflows_total'), 0);
  t.true(value('process_resident_memory_bytes') > 1e6);
  for (const name of Object.keys(definitions)) t.true(namesIn(text).has(name), name);
  for (const expression of expressionsOf(projectRoot)) for (const name of namesInExpression(expression)) t.true(namesIn(text).has(name), `${name} in ${expression}`);
  if (hasPromtool) t.is(promtool(['check', 'metrics'], text), '');
  else t.log('promtool is not installed: its check is left out');
});

realTest('what waits is counted by volume and state, and what is held back says so', async (t) => {
  const { hsm, folder } = await stubs(t);
  const [first] = await hsm.json('ls', join(folder, 'f0'));
  const volume = String(first?.['volume']);
  t.is((await hsm.hsm('hold', volume)).exitCode, 0);
  const readers = [0, 1, 2].map((i) => execa('cat', [join(folder, `f${i}`)], { timeout: 120_000, reject: false }));
  const text = await until(async () => {
    const now = await scrape(hsm);
    return valueOf(now, 'hsm_waiting_processes') === 3 ? now : null;
  });
  t.is(valueOf(text, `hsm_queue_requests{volume="${volume}",state="queued"}`), 3);
  t.is(valueOf(text, `hsm_queue_bytes{volume="${volume}"}`), 60_000);
  t.true((valueOf(text, `hsm_queue_oldest_age_seconds{volume="${volume}"}`) ?? 0) > 0);
  t.is(valueOf(text, 'hsm_pauses{kind="volume"}'), 1);
  const [row] = await hsm.json('queue');
  t.is((await hsm.hsm('cancel', String(row?.['id']), '--errno', 'EPERM')).exitCode, 0);
  await hsm.hsm('unhold', volume);
  t.is((await Promise.all(readers)).filter(({ exitCode }) => exitCode === 0).length, 2);
  const after = await until(async () => {
    const now = await scrape(hsm);
    return valueOf(now, 'hsm_waiting_processes') === 0 ? now : null;
  });
  t.is(valueOf(after, 'hsm_answers_total{answer="EPERM"}'), 1);
  t.is(valueOf(after, 'hsm_recall_wait_seconds_count{outcome="EPERM"}'), 1);
  t.is(valueOf(after, `hsm_queue_requests{volume="${volume}",state="queued"}`), null, 'a volume without a queue has no labels');
});

realTest('hsm metrics prints what the socket serves, which root and operators alone may read', async (t) => {
  const { hsm } = await stubs(t);
  t.regex(owner(join(hsm.folder, 'state/metrics.sock')), /^660 root$/);
  const { exitCode, stdout } = await hsm.hsm('metrics');
  t.is(exitCode, 0);
  t.deepEqual([...namesIn(stdout)], [...namesIn(await scrape(hsm))]);
  const lines = jsonLines((await hsm.hsm('metrics', '--json')).stdout);
  t.like(lines.find(({ name }) => name === 'hsm_drive_up'), { type: 'gauge', labels: { drive: 'drive0' }, value: 1 });
});

realTest('counters of the keeper go on when it is killed and replaced', async (t) => {
  const { hsm } = await stubs(t);
  const counted = async (): Promise<number> => valueOf(await scrape(hsm), 'hsm_keeper_events_total{kind="resident"}') ?? 0;
  for (let i = 0; i < 20; i += 1) writeFileSync(join(hsm.mount, `resident${i}`), 'x');
  for (let i = 0; i < 20; i += 1) readFileSync(join(hsm.mount, `resident${i}`));
  const before = await until(async () => ((await counted()) >= 20 ? counted() : null));
  const { keeper } = await hsm.status();
  const generation = valueOf(await scrape(hsm), 'hsm_keeper_generation') ?? 0;
  process.kill(keeper.pid, 'SIGKILL');
  // The next one is no child of this test.
  t.teardown(() => process.kill(Number(readFileSync(join(hsm.folder, 'state/daemon.lock'), 'utf8')), 'SIGTERM'));
  const text = await until(async () => {
    const now = await scrape(hsm).catch(() => '');
    return (valueOf(now, 'hsm_keeper_generation') ?? 0) > generation ? now : null;
  });
  t.true((valueOf(text, 'hsm_keeper_events_total{kind="resident"}') ?? 0) >= before);
});

realTest('a hook is called for a job that failed; it has none of the descriptors of the daemon', async (t) => {
  const folder = temporaryFolder(t);
  const script = join(folder, 'hook.sh');
  writeFileSync(script, `ls -l /proc/self/fd > ${folder}/fds; cat > ${folder}/$HSM_EVENT`);
  const hsm = await managed(t, 'ext4', { sizeMiB: 128, config: `command = ["/bin/sh", ${JSON.stringify(script)}]\n` });
  const { exitCode, stdout } = await hsm.hsm('--json', 'hooks', 'test');
  t.is(exitCode, 0, stdout);
  t.like(jsonLines(stdout)[0], { hook: 'command', result: 'ok', reason: null });
  t.like(JSON.parse(readFileSync(join(folder, 'test'), 'utf8')), { event: 'test', class: 'test' });
  const open = readFileSync(join(folder, 'fds'), 'utf8').split('\n').filter((line) => line.includes(' -> '));
  t.true(open.length >= 3);
  t.deepEqual(open.filter((line) => /fanotify|memfd|eventpoll|mount|\.db|\.sock/.test(line)), []);
  t.deepEqual(open.filter((line) => !/ [012] -> | \d+ -> (\/proc\/\d+\/fd|\S*hook\.sh|\S*\/fds)$/.test(line)), []);
  // The keeper gives a worker that it starts again other numbers.
  const pid = ((await hsm.json('status'))[0] as { daemon: { pid: number } }).daemon.pid;
  process.kill(pid, 'SIGKILL');
  await until(async () => ((await hsm.hsm('--json', 'status')).exitCode === 0 && ((await hsm.json('status'))[0] as { daemon: { pid: number } }).daemon.pid !== pid));
  t.is((await hsm.hsm('hooks', 'test')).exitCode, 0);
  const later = readFileSync(join(folder, 'fds'), 'utf8').split('\n').filter((line) => line.includes(' -> '));
  t.deepEqual(later.filter((line) => !/ [012] -> | \d+ -> (\/proc\/\d+\/fd|\S*hook\.sh|\S*\/fds)$/.test(line)), []);
  // All drives down: nothing can be written.
  for (const drive of ['drive0', 'drive1']) await hsm.hsm('drive', 'down', drive, '--reason', 'test');
  writeFileSync(join(hsm.mount, 'file'), 'x');
  t.not((await hsm.hsm('archive', '--older-than', '0s', hsm.mount)).exitCode, 0);
  const told = await until(async () => {
    try {
      return JSON.parse(readFileSync(join(folder, 'job-failed'), 'utf8')) as unknown;
    } catch {
      return null;
    }
  });
  t.like(told, { event: 'job-failed', class: 'failure', data: { kind: 'archive' } });
  t.is(valueOf(await scrape(hsm), 'hsm_hooks_total{hook="command",result="ok"}'), 2);
});
