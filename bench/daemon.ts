/**
 * The daemon's start and memory against the number of files in its catalogue. Goals: `ready` within 250 ms of node's start, RSS <= 75 MB
 * when idle and the same for 1,000 and 1,000,000 files; and what is left of the memory that jobs over 100,000 files took. usage: node bench/daemon.ts      (after npm run build)
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCatalog } from '../src/catalog/index.ts';
import { managed } from '../test/fixtures/managed.ts';

const perContainer = 50_000;
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const teardowns: (() => unknown)[] = [];
try {
  const hsm = await managed({ teardown: (down) => void teardowns.unshift(down) }, 'ext4', { sizeMiB: 64 });
  let present = 0;
  for (const files of [1000, 1_000_000]) {
    await hsm.stopDaemon();
    await fill(join(hsm.folder, 'state/catalogue.db'), present, files);
    present = files;
    const starts: number[] = [];
    for (let round = 0; round < 7; round += 1) {
      const begin = performance.now();
      await hsm.startDaemon();
      starts.push(performance.now() - begin);
      if (round < 6) await hsm.stopDaemon();
    }
    const node = median(Array.from({ length: 7 }, () => timed(() => execFileSync(process.execPath, ['-e', '0']))));
    await hsm.hsm('status');
    await sleep(3000);
    const { daemon, keeper } = await hsm.status();
    const ready = median(starts);
    console.log(`${files} files: RSS of the daemon ${rss(daemon.pid)} MB, of the keeper ${rss(keeper.pid)} MB; ready after ${ready.toFixed(0)} ms, ${(ready - node).toFixed(0)} ms after an empty node (${node.toFixed(0)} ms) has run`);
  }
  await jobs(100_000);
} finally {
  for (const down of teardowns) await down();
}

/** RSS after an archive run, a release and a recall of small files. */
async function jobs(files: number): Promise<void> {
  const hsm = await managed({ teardown: (down) => void teardowns.unshift(down) }, 'ext4', { sizeMiB: 4000 });
  const source = join(hsm.mount, 'files');
  for (let index = 0; index < files; index += 1) {
    const folder = join(source, `d${Math.floor(index / 500)}`);
    if (index % 500 === 0) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${index}.dat`), Buffer.alloc(4096, index));
  }
  execFileSync('find', [source, '-type', 'f', '-exec', 'touch', '-d', '2012-01-01', '{}', '+'], { timeout: 300_000 });
  execFileSync('sync', { timeout: 300_000 });
  const { pid } = (await hsm.status()).daemon;
  for (const words of [['archive', '--older-than', '4y', '--keep-data'], ['release'], ['recall']]) {
    await hsm.json(...words, source);
    await sleep(3000);
    console.log(`after ${words[0]} of ${files} files: RSS of the daemon ${rss(pid)} MB`);
  }
}

function timed(work: () => unknown): number {
  const begin = performance.now();
  work();
  return performance.now() - begin;
}

function rss(pid: number): string {
  return (Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024).toFixed(1);
}

async function fill(path: string, from: number, to: number): Promise<void> {
  const catalog = openCatalog(path);
  const [filesystem] = await catalog.filesystems();
  const [volume] = await catalog.volumes();
  if (filesystem === undefined || volume === undefined) throw new Error('not initialised');
  for (let begin = from; begin < to; begin += perContainer) {
    const count = Math.min(perContainer, to - begin);
    const container = await catalog.beginContainer(volume.barcode, begin + 3);
    await catalog.closeContainer(container.id, { state: 'closed', bytes: count * 5632, endBlock: begin + 4, used: begin });
    const names = Array.from({ length: count }, (_, index) => Buffer.from(`some-file-${begin + index}.data`));
    let end = 0;
    const objectIds = Buffer.alloc(16 * count);
    for (let index = 0; index < count; index += 1) objectIds.writeBigUInt64BE(BigInt(begin + index + 1), 16 * index + 8);
    await catalog.addArchived([container.id], {
      filesystem: filesystem.id,
      count,
      dirs: Array.from({ length: Math.ceil(count / 100) }, (_, index) => Buffer.from(`tree/d${(begin + index * 100) / 100}`)),
      dir: Uint32Array.from({ length: count }, (_, index) => Math.floor(index / 100)),
      names: Buffer.concat(names),
      nameEnd: Uint32Array.from(names, (name) => (end += name.length)),
      ino: Float64Array.from({ length: count }, (_, index) => begin + index + 1000),
      size: new Float64Array(count).fill(4096),
      mtimeNs: new BigInt64Array(count).fill(1_433_664_549_123_456_789n),
      ctimeNs: new BigInt64Array(count).fill(1_733_664_549_123_456_789n),
      handleHash: new Uint32Array(count).fill(7),
      objectIds,
      sha256: Buffer.alloc(32 * count, 9),
      offset: Float64Array.from({ length: count }, (_, index) => index * 5632),
      length: new Float64Array(count).fill(5632),
    });
  }
  await catalog.close();
}
