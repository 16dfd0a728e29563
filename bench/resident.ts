/**
 * What the guard costs files whose data is on disk: open + read + close with and without a keeper on the same filesystem, interleaved.
 * Goal: ratio of medians <= 1.15 in steady state, with no question asked.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { keeperPath } from '../src/native/index.ts';
import { withFilesystem, type FilesystemType } from '../test/fixtures/loopfs.ts';

interface Sample {
  readonly ns: number;
  readonly p50: number;
  readonly p99: number;
}

const files = 2000;
const rounds = 9;
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const folder = mkdtempSync(join(tmpdir(), 'hsm-bench-'));
try {
  const program = join(folder, 'resident');
  execFileSync('gcc', ['-O2', '-o', program, here('resident.c')]);
  const type = (process.argv[2] ?? 'ext4') as FilesystemType;
  await withFilesystem(type, 256, async (mount) => {
    for (let index = 0; index < files; index += 1) writeFileSync(join(mount, `f${index}`), Buffer.alloc(4096, 1));
    const measure = (): Sample => JSON.parse(execFileSync(program, [mount, '21'], { timeout: 60_000 }).toString()) as Sample;
    measure();
    const without: Sample[] = [];
    const guarded: Sample[] = [];
    let asked = 0;
    for (let round = 0; round < rounds; round += 1) {
      without.push(measure());
      const keeper = await startKeeper(mount);
      measure(); // first touch of each file
      const before = await keeper.questions();
      guarded.push(measure());
      asked += (await keeper.questions()) - before;
      await keeper.stop();
    }
    for (const key of ['ns', 'p50', 'p99'] as const) {
      const [plain, kept] = [median(without.map((sample) => sample[key])), median(guarded.map((sample) => sample[key]))];
      console.log(`${type} open+read+close ${key}: ${plain} ns without, ${kept} ns guarded, ratio ${(kept / plain).toFixed(3)}`);
    }
    console.log(`questions in steady state: ${asked}`);
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function startKeeper(mount: string) {
  const state = mkdtempSync(join(folder, 'state-'));
  const daemon = [process.execPath, here('../test/fixtures/fake-worker.ts')];
  const child = spawn(keeperPath, ['--lock', join(state, 'lock'), '--takeover', join(state, 'takeover'), '--filesystem', mount, '--', ...daemon], {
    env: { ...process.env, STUBS_LEFT: '0' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const until = async (pattern: RegExp): Promise<string> => {
    for (let waited = 0; waited < 10_000; waited += 5) {
      const found = pattern.exec(output);
      if (found !== null) return found[1] ?? '';
      await sleep(5);
    }
    throw new Error(output);
  };
  await until(/^(ready)$/m);
  return {
    questions: async (): Promise<number> => {
      output = '';
      child.kill('SIGHUP');
      return Number(await until(/keeper: (\d+) questions/));
    },
    stop: async (): Promise<void> => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    },
  };
}
