/**
 * The whole product on many small files: `hsm archive`, `hsm release` and `hsm recall` through a real daemon, against GNU tar writing and
 * extracting the same files on the same disk, interleaved. Goals: archive --keep-data >= 1.0x tar create, recall >= 0.7x tar extract.
 * usage: node bench/recall.ts [ext4|xfs|btrfs] [files] [rounds]      (after npm run build)
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FilesystemType } from '../test/fixtures/loopfs.ts';
import { managed, summaryOf } from '../test/fixtures/managed.ts';

const type = (process.argv[2] ?? 'ext4') as FilesystemType;
const files = Number(process.argv[3] ?? 100_000);
const rounds = Number(process.argv[4] ?? 3);
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const teardowns: (() => unknown)[] = [];
try {
  const hsm = await managed({ teardown: (down) => void teardowns.unshift(down) }, type, { sizeMiB: 6000 });
  const source = join(hsm.mount, 'files');
  makeFiles(source);
  const archive: number[] = [];
  const create: number[] = [];
  const release: number[] = [];
  const recall: number[] = [];
  const extract: number[] = [];
  const timed = async (into: number[], work: () => unknown): Promise<void> => {
    const start = performance.now();
    await work();
    into.push((performance.now() - start) / 1000);
  };
  for (let round = 0; round < rounds; round += 1) {
    const tar = join(hsm.folder, 'bench.tar');
    await timed(create, () => execFileSync('sh', ['-c', 'tar -C "$1" -cf "$2" . && sync "$2"', 'sh', source, tar], { timeout: 300_000 }));
    const target = join(hsm.mount, `extracted${round}`);
    mkdirSync(target);
    await timed(extract, () => execFileSync('sh', ['-c', 'tar -C "$1" -xf "$2" && sync -f "$1"', 'sh', target, tar], { timeout: 300_000 }));
    rmSync(target, { recursive: true });
    rewrite(source, round);
    await timed(archive, async () => check(await hsm.json('archive', '--older-than', '4y', '--keep-data', source), 'archived'));
    await timed(release, async () => check(await hsm.json('release', source), 'released'));
    await timed(recall, async () => check(await hsm.json('recall', source), 'recalled'));
    console.log(`round ${round}: tar create ${create.at(-1)?.toFixed(2)} s, archive ${archive.at(-1)?.toFixed(2)}, release with verification ${release.at(-1)?.toFixed(2)}, recall ${recall.at(-1)?.toFixed(2)}, tar extract ${extract.at(-1)?.toFixed(2)}`);
  }
  const pid = (await hsm.status()).daemon.pid;
  console.log(`archive --keep-data / tar create: ${(median(create) / median(archive)).toFixed(2)}x the speed (goal 1.0)`);
  console.log(`recall / tar extract: ${(median(extract) / median(recall)).toFixed(2)}x the speed (goal 0.7)`);
  console.log(`release with verification: ${((median(release) / files) * 1e6).toFixed(1)} us a file`);
  console.log(`daemon after it: ${/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]} kB`);
} finally {
  for (const down of teardowns) await down();
}

function check(lines: readonly Record<string, unknown>[], key: 'archived' | 'released' | 'recalled'): void {
  const summary = summaryOf(lines);
  if (summary[key] !== files || summary.failed > 0) throw new Error(JSON.stringify(summary));
}

function makeFiles(root: string): void {
  for (let index = 0; index < files; index += 1) {
    const folder = join(root, `d${Math.floor(index / 500)}`);
    if (index % 500 === 0) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${index}.dat`), Buffer.alloc(4096, index));
  }
}

/** New contents of the same size, cold again. */
function rewrite(root: string, round: number): void {
  for (let index = 0; index < files; index += 1) writeFileSync(join(root, `d${Math.floor(index / 500)}`, `file-${index}.dat`), Buffer.alloc(4096, index + round + 1));
  execFileSync('find', [root, '-type', 'f', '-exec', 'touch', '-d', '2012-01-01', '{}', '+'], { timeout: 300_000 });
  // Cold files are not dirty.
  execFileSync('sync', { timeout: 300_000 });
}
