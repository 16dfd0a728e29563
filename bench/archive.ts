/**
 * Archiving many small files against GNU tar writing the same files to the same disk, and releasing them against a C loop of the same
 * system calls; interleaved. Goals: archive --keep-data >= 1.0x tar, release <= 1.5x 23 us a file.
 * usage: node bench/archive.ts [ext4|xfs|btrfs] [files] [rounds]
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { archiving } from '../test/fixtures/archiving.ts';
import type { FilesystemType } from '../test/fixtures/loopfs.ts';

const type = (process.argv[2] ?? 'ext4') as FilesystemType;
const files = Number(process.argv[3] ?? 100_000);
const rounds = Number(process.argv[4] ?? 5);
const fileSize = 4096;
const perFolder = 500;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const round = (value: number, places = 2): string => value.toFixed(places);
const folder = mkdtempSync(join(tmpdir(), 'hsm-bench-'));

/** Seconds; the CPU time of this process on the side, for machines that others use too. */
async function timed(work: () => unknown, cpu?: number[]): Promise<number> {
  const start = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  cpu?.push((user + system) / 1e6);
  return (performance.now() - start) / 1000;
}

function makeFiles(root: string, count: number): void {
  const data = Buffer.alloc(fileSize);
  for (let index = 0; index < count; index += 1) {
    const path = join(root, `d${Math.floor(index / perFolder)}`);
    if (index % perFolder === 0) mkdirSync(path, { recursive: true });
    data.writeUInt32LE(index, 0);
    writeFileSync(join(path, `file-${index}.dat`), data);
  }
}

/** Everything of one round, taken down at its end. */
async function withSite<T>(use: (site: Awaited<ReturnType<typeof archiving>>) => Promise<T>): Promise<T> {
  const teardowns: (() => unknown)[] = [];
  try {
    const site = await archiving({ teardown: (down) => void teardowns.unshift(down) }, type, {
      sizeMiB: 4096,
      capacity: 4 * 2 ** 30,
      cartridges: 2,
      containerSize: 256 * 2 ** 20,
      verbose: false,
    });
    return await use(site);
  } finally {
    for (const down of teardowns) await down();
  }
}

try {
  const loop = join(folder, 'evict');
  execFileSync('gcc', ['-O2', '-o', loop, fileURLToPath(new URL('evict.c', import.meta.url))]);
  const tar: number[] = [];
  const synced: number[] = [];
  const archived: number[] = [];
  const readBack: number[] = [];
  const released: number[] = [];
  const looped: number[] = [];
  const cpu = { archive: [] as number[], verify: [] as number[], release: [] as number[] };
  for (let i = 0; i < rounds; i += 1) {
    await withSite(async (site) => {
      makeFiles(join(site.mount, 'hsm'), files);
      makeFiles(join(site.mount, 'loop'), files);
      execFileSync('sync');
      const archive = join(folder, 'x.tar');
      const writeTar = (): unknown => execFileSync('tar', ['-cf', archive, '-C', site.mount, 'hsm'], { timeout: 300_000 });
      const measureTar = async (): Promise<void> => {
        tar.push(await timed(writeTar));
        synced.push(tar.at(-1)! + (await timed(() => execFileSync('sync', [archive]))));
        rmSync(archive);
      };
      const measureArchive = async (): Promise<void> => {
        archived.push(await timed(() => site.archive({ paths: [Buffer.from('hsm')], keepData: true }), cpu.archive));
      };
      // Warm caches for both, and neither always first.
      writeTar();
      rmSync(archive);
      if (i % 2 === 0) await measureTar();
      await measureArchive();
      if (i % 2 === 1) await measureTar();
      readBack.push(await timed(() => site.verify({ tape: 'V00001L9' }), cpu.verify));
      looped.push(await timed(() => execFileSync(loop, [join(site.mount, 'loop')], { timeout: 300_000 })));
      released.push(
        await timed(async () => {
          const summary = await site.release(['hsm']);
          if (summary.released !== files) throw new Error(`${summary.released} files were released`);
        }, cpu.release),
      );
    });
    const us = (seconds: number | undefined): string => round(((seconds ?? 0) * 1e6) / files, 1);
    console.log(
      `round ${i + 1}, us a file: tar ${us(tar[i])} (synced ${us(synced[i])}), archive ${us(archived[i])}, verify ${us(readBack[i])}, C loop ${us(looped[i])}, release ${us(released[i])}; CPU of archive ${us(cpu.archive[i])}, verify ${us(cpu.verify[i])}, release ${us(cpu.release[i])}`,
    );
  }
  const perFile = (values: readonly number[]): number => (median(values) * 1e6) / files;
  console.log(`archive --keep-data / GNU tar, speed: ${round(median(tar) / median(archived))} (synced tar: ${round(median(synced) / median(archived))})`);
  console.log(`release: ${round(perFile(released), 1)} us a file, ${round(perFile(released) / 23)}x 23 us, ${round(perFile(released) / perFile(looped))}x the C loop`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
