/**
 * `hsm tui` with 10,000 requests in the queue, 20 of which are done each second. Goals: the first screen within 300 ms of its start, at most
 * 5 % of a core and 90 MB, whatever the screen. usage: node bench/tui.ts      (after npm run build)
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { execa } from 'execa';
import { projectRoot } from '../src/native/index.ts';
import { busyDaemonPath } from '../test/fixtures/busy-daemon.ts';
import { until } from '../test/fixtures/until.ts';

const requests = 10_500;
const perSecond = 20;
const seconds = 10;
const starts = 7;
const ticksPerSecond = 100;

const folder = mkdtempSync(join(tmpdir(), 'hsm-bench-'));
const config = join(folder, 'hsm.toml');
writeFileSync(config, `state = "${folder}"\nfilesystems = ["/nowhere/data"]\n`);
try {
  await withDaemon(async () => {
    for (const [what, wanted] of [['daemon and drives', /drive0/], ['all of the queue', /tape {2,}V0000/]] as const) {
      const times: { readonly ms: number; readonly cpuMs: number }[] = [];
      for (let i = 0; i < starts; i += 1) times.push(await withTui('overview', wanted, async ({ pid, firstMs }) => ({ ms: firstMs, cpuMs: 1000 * cpuSeconds(pid) })));
      const sorted = times.toSorted((a, b) => a.ms - b.ms);
      const [first, middle, last] = [sorted[0], sorted[starts >> 1], sorted.at(-1)];
      console.log(`first screen with ${what}: ${middle?.ms.toFixed(0)} ms (${first?.ms.toFixed(0)} to ${last?.ms.toFixed(0)}), of which ${middle?.cpuMs.toFixed(0)} ms on a processor; median of ${starts}`);
    }
  });
  for (const screen of ['overview', 'requests', 'blocked', 'tapes', 'drives']) {
    await withDaemon(() =>
      withTui(screen, /V0000/, async ({ pid }) => {
        await sleep(5000);
        const before = cpuSeconds(pid);
        await sleep(seconds * 1000);
        const share = (100 * (cpuSeconds(pid) - before)) / seconds;
        console.log(`${screen}: ${share.toFixed(1)} % of a core, RSS ${megabytes(pid, 'VmRSS')} MB, at most ${megabytes(pid, 'VmHWM')} MB`);
      }),
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}

async function withDaemon(use: () => Promise<void>): Promise<void> {
  const daemon = execa(process.execPath, ['--disable-warning=ExperimentalWarning', busyDaemonPath, folder, String(requests), String(perSecond)], { reject: false, timeout: 300_000, buffer: false });
  let ready = false;
  daemon.stdout.on('data', () => (ready = true));
  await until(() => ready);
  try {
    await use();
  } finally {
    daemon.stdin.end();
    await daemon;
  }
}

/** In a terminal of 120 x 40 that script(1) makes; `firstMs`: until it had drawn what is wanted. */
async function withTui<T>(screen: string, wanted: RegExp, use: (tui: { readonly pid: number; readonly firstMs: number }) => Promise<T>): Promise<T> {
  const command = `stty columns 120 rows 40; exec '${projectRoot}bin/hsm' --config '${config}' tui --screen ${screen}`;
  const begin = performance.now();
  const tui = execa('script', ['-qfc', command, '/dev/null'], { reject: false, timeout: 120_000, buffer: false, env: { LC_ALL: 'C.UTF-8', TERM: 'xterm-256color' } });
  let firstMs: number | null = null;
  let text = '';
  tui.stdout.on('data', (chunk: Buffer) => {
    if (firstMs !== null) return;
    text += chunk.toString();
    if (wanted.test(stripVTControlCharacters(text))) firstMs = performance.now() - begin;
  });
  const first = await until(() => firstMs);
  const pid = Number(readFileSync(`/proc/${tui.pid}/task/${tui.pid}/children`, 'utf8').trim());
  try {
    return await use({ pid, firstMs: first });
  } finally {
    process.kill(pid, 'SIGTERM');
    await tui;
  }
}

/** User and system time of all threads. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function megabytes(pid: number, key: string): string {
  return (Number(new RegExp(`${key}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024).toFixed(0);
}
