/**
 * The main job at the pace of a drive: a virtual library with LTO-9 timing, its volume loaded already. Goals: 100 kB files archived at
 * >= 1,100/s and recalled in bulk at >= 400/s; large files at >= 0.95x of the drive's 400 MB/s, written, and read back to verify.
 * As root. usage: node bench/tape.ts [small files] [large files of 1 GiB]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tapeModels } from '../src/library/timing.ts';
import { managed, type Managed } from '../test/fixtures/managed.ts';

const small = { count: Number(process.argv[2] ?? 20_000), bytes: 100_000 };
const large = { count: Number(process.argv[3] ?? 2), bytes: 2 ** 30 };
const teardowns: (() => unknown)[] = [];

/** Incompressible, each file its own. */
function makeFiles(folder: string, { count, bytes }: typeof small): void {
  mkdirSync(folder);
  const data = Buffer.alloc(bytes);
  for (let i = 0; i < bytes; i += 4) data.writeUInt32LE(Math.imul(i + 1, 2654435761) >>> 0, i);
  for (let i = 0; i < count; i += 1) {
    data.writeUInt32LE(i, 0);
    writeFileSync(join(folder, `f${i}`), data);
  }
}

async function seconds(hsm: Managed, ...words: string[]): Promise<number> {
  const start = performance.now();
  const [summary] = (await hsm.json(...words)).slice(-1);
  if (summary?.['failed'] !== 0) throw new Error(JSON.stringify(summary));
  const took = (performance.now() - start) / 1000;
  if (process.env['VERBOSE'] !== undefined) console.error(`${words[0]}: ${took.toFixed(1)} s`);
  return took;
}

async function measure(hsm: Managed, name: string, files: typeof small): Promise<void> {
  const folder = join(hsm.mount, name);
  makeFiles(folder, files);
  const archived = await seconds(hsm, 'archive', '--older-than', '0s', '--by', 'mtime', '--keep-data', folder);
  const released = await seconds(hsm, 'release', folder);
  const recalled = await seconds(hsm, 'recall', folder);
  const rate = (time: number): string => `${(files.count / time).toFixed(files.count > 100 ? 0 : 2)} files/s, ${((files.count * files.bytes) / time / 1e6).toFixed(0)} MB/s (${((files.count * files.bytes) / time / tapeModels.lto9.rate).toFixed(2)}x native)`;
  console.log(`${name}, ${files.count} files of ${files.bytes} bytes`);
  console.log(`  archive    ${rate(archived)}`);
  console.log(`  with read-back and release  ${rate(archived + released)}`);
  console.log(`  recall     ${rate(recalled)}`);
}

try {
  const sizeMiB = Math.ceil((small.count * small.bytes + large.count * large.bytes) / 2 ** 20) * 1.2 + 512;
  const hsm = await managed({ teardown: (down) => void teardowns.unshift(down) }, 'ext4', { sizeMiB: Math.ceil(sizeMiB), init: ['--timing', 'lto9', '--cartridges', '1', '--drives', '1'], daemonLimitMs: 3_600_000 });
  writeFileSync(join(hsm.mount, 'first'), 'loads the volume');
  await seconds(hsm, 'archive', '--older-than', '0s', '--by', 'mtime', join(hsm.mount, 'first'));
  await measure(hsm, 'small', small);
  await measure(hsm, 'large', large);
} finally {
  for (const down of teardowns) await down();
}
