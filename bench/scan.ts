/**
 * Scan of many files against find(1), warm, on a loop-mounted ext4. Goals: >= 1.8x find's wall time, <= 120 MB, CPU <= 1.05x find's.
 *
 * usage: node bench/scan.ts [--files 1000000] [--rounds 7] [--threads 2] [--realtime]     (needs root)
 *
 * The wall time of two threads against one means something only where two cores are free: --realtime runs both sides under
 * chrt(1), ahead of whatever else the machine does.
 */
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { native } from '../src/native/index.ts';

const self = fileURLToPath(import.meta.url);
const filesPerDirectory = 100;
const limits = { timeout: 600_000 } as const;

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '7' },
    threads: { type: 'string', default: '2' },
    realtime: { type: 'boolean', default: false },
    walk: { type: 'string' },
  },
});

interface Scan {
  readonly files: number;
  readonly old: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly rssMiB: number;
}

if (values.walk === undefined) compare(Number(values.files), Number(values.rounds), values.threads);
else console.log(JSON.stringify(await scan(values.walk, Number(values.threads))));

/** What the child process does, and nothing else. */
async function scan(directory: string, threads: number): Promise<Scan> {
  const cutoff = (BigInt(Date.now()) - 1460n * 86_400_000n) * 1_000_000n;
  const before = process.cpuUsage();
  const start = performance.now();
  const root = openSync(directory, 'r');
  const walker = native.walk(root, [Buffer.alloc(0)], { threads, records: 'none' });
  let files = 0;
  let old = 0;
  for (let batch = await walker.next(); batch !== null; batch = await walker.next()) {
    files += batch.count;
    for (const atime of batch.atimeNs) if (atime < cutoff) old++;
    walker.release(batch);
  }
  closeSync(root);
  const wallMs = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  return { files, old, wallMs, cpuMs: (user + system) / 1000, rssMiB: process.resourceUsage().maxRSS / 1024 };
}

function compare(files: number, rounds: number, threads: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'hsm-bench-scan-'));
  const image = join(folder, 'image');
  const mount = join(folder, 'mount');
  let mounted = false;
  try {
    mkdirSync(mount);
    writeFileSync(image, '');
    truncateSync(image, Math.ceil(files * 1024 + 256 * 2 ** 20));
    execFileSync('mkfs.ext4', ['-q', '-F', '-N', String(Math.ceil(files * 1.1) + 1000), image], limits);
    execFileSync('mount', ['-o', 'loop', image, mount], limits);
    mounted = true;
    makeTree(mount, files);
    report(files, rounds, (find) => (find ? timeFind(mount) : timeWalk(mount, threads)));
  } finally {
    if (mounted) execFileSync('umount', [mount], limits);
    rmSync(folder, { recursive: true, force: true });
  }
}

function makeTree(mount: string, files: number): void {
  for (let made = 0; made < files; made += filesPerDirectory) {
    const directory = join(mount, `d${Math.floor(made / filesPerDirectory / 100)}`, `e${made / filesPerDirectory}`);
    mkdirSync(directory, { recursive: true });
    for (let i = made; i < Math.min(files, made + filesPerDirectory); i++) closeSync(openSync(`${directory}/file-${i}.dat`, 'wx'));
  }
}

function report(files: number, rounds: number, measure: (find: boolean) => Scan): void {
  measure(true); // warms the caches
  const finds: Scan[] = [];
  const walks: Scan[] = [];
  for (let round = 0; round < rounds; round++) {
    finds.push(measure(true));
    walks.push(measure(false));
  }
  const wrong = [...finds, ...walks].find((each) => each.files !== files);
  if (wrong !== undefined) throw new Error(`saw ${wrong.files} files of ${files}`);
  const [find, walk] = [summary(finds), summary(walks)];
  console.log(`find -atime   ${find.wallMs.toFixed(0)} ms wall, ${find.cpuMs.toFixed(0)} ms CPU`);
  console.log(`walk          ${walk.wallMs.toFixed(0)} ms wall, ${walk.cpuMs.toFixed(0)} ms CPU, ${walk.rssMiB.toFixed(0)} MiB`);
  console.log(`files ${files}, rounds ${rounds}: ${(find.wallMs / walk.wallMs).toFixed(2)}x find (goal 1.8), CPU ${(walk.cpuMs / find.cpuMs).toFixed(2)}x (goal 1.05)`);
}

function summary(scans: readonly Scan[]): Pick<Scan, 'wallMs' | 'cpuMs' | 'rssMiB'> {
  return {
    wallMs: median(scans.map((each) => each.wallMs)),
    cpuMs: median(scans.map((each) => each.cpuMs)),
    rssMiB: Math.max(...scans.map((each) => each.rssMiB)),
  };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? NaN;
}

function timeFind(mount: string): Scan {
  const before = childCpuMs();
  const start = performance.now();
  const found = run('find', [mount, '-type', 'f', '-atime', '+1460']);
  const wallMs = performance.now() - start;
  if (found.status !== 0) throw new Error(`find failed: ${found.stderr}`);
  const cpuMs = childCpuMs() - before;
  return { files: Number(values.files), old: 0, wallMs, cpuMs, rssMiB: 0 };
}

function timeWalk(mount: string, threads: string): Scan {
  const walked = run(process.execPath, [self, '--walk', mount, '--threads', threads]);
  if (walked.status !== 0) throw new Error(`walk failed: ${walked.stderr}`);
  return JSON.parse(walked.stdout) as Scan;
}

function run(program: string, options: readonly string[]): SpawnSyncReturns<string> {
  const [command = '', ...all] = [...(values.realtime ? ['chrt', '-r', '1'] : []), program, ...options];
  return spawnSync(command, all, { ...limits, encoding: 'utf8' });
}

/** CPU of children that have ended, proc_pid_stat(5) fields 16 and 17. */
function childCpuMs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10;
}
