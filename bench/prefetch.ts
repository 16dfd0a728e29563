/**
 * `grep -r` over 2,000 stubs on a virtual library that takes the time of LTO-9, through a real daemon and keeper: one by one, and recalled ahead. One by one takes
 * hours, so that is read from a sample. In real time: 5 to 15 minutes each.
 * usage: node bench/prefetch.ts alone|ahead tape|shuffled [files] [sample]      (after npm run build)
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { managed, summaryOf } from '../test/fixtures/managed.ts';
import { seededRandom } from '../test/fixtures/random.ts';

const [, , mode = 'ahead', order = 'tape', countText = '2000', sampleText = '12'] = process.argv;
const count = Number(countText);
const sample = mode === 'alone' ? Number(sampleText) : count;
const limit = 1_500_000;

const teardowns: (() => unknown)[] = [];
try {
  const hsm = await managed({ teardown: (down) => void teardowns.unshift(down) }, 'ext4', { sizeMiB: 1000, recall: `prefetch = ${mode === 'ahead' ? 512 : 0}`, daemonLimitMs: limit });
  const source = join(hsm.mount, 'source');
  const bytes = makeFiles(source);
  const summary = summaryOf(await hsm.json('archive', '--older-than', '4y', source));
  if (summary.released !== count) throw new Error(JSON.stringify(summary));
  await hsm.stopDaemon();
  writeFileSync(hsm.config, readFileSync(hsm.config, 'utf8').replace(/timing = "none"/, 'timing = "lto9"'));
  await hsm.startDaemon();
  const files = execFileSync('find', [source, '-type', 'f'], { encoding: 'utf8', timeout: 60_000 }).trim().split('\n');
  console.log(`${count} files of ${(bytes / count / 1024).toFixed(0)} KiB on average, ${mode}, read in ${order === 'tape' ? 'the order of their folders' : 'shuffled order'}`);
  const chosen = (order === 'tape' ? files : shuffled(files)).slice(0, sample);
  const startedAt = performance.now();
  const waits: number[] = [];
  if (mode === 'ahead' && order === 'tape') await grep('-rc', 'nowhere', source);
  else {
    for (const file of chosen) {
      const begin = performance.now();
      await grep('-c', 'nowhere', file);
      waits.push((performance.now() - begin) / 1000);
    }
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const [mount = 0, ...further] = waits;
  const each = further.reduce((sum, wait) => sum + wait, 0) / further.length;
  console.log(mode === 'alone' ? `${sample} files: the first ${mount.toFixed(0)} s with the mount, each further one ${each.toFixed(1)} s (${further.map((wait) => wait.toFixed(1)).join(' ')})` : `all: ${seconds.toFixed(0)} s`);
  if (mode === 'alone') console.log(`all ${count} would take ${((mount + each * (count - 1)) / 3600).toFixed(1)} h`);
  else if (waits.length > 0) console.log(`${waits.filter((wait) => wait > 1).length} of them waited for longer than a second`);
} finally {
  for (const down of teardowns) await down();
}

/** A real one, whose exit code 1 says that nothing was found. */
async function grep(...words: string[]): Promise<void> {
  const { exitCode, stderr } = await execa('grep', words, { reject: false, timeout: limit });
  if (exitCode !== 1) throw new Error(`grep: exit ${exitCode}: ${stderr}`);
}

/** As a source tree has them: most are small. Bytes in all. */
function makeFiles(root: string): number {
  const random = seededRandom(5);
  let bytes = 0;
  for (let index = 0; index < count; index += 1) {
    const folder = join(root, `d${Math.floor(index / 50)}`);
    mkdirSync(folder, { recursive: true });
    const size = Math.ceil(2000 * Math.exp(5 * random()));
    bytes += size;
    writeFileSync(join(folder, `f${index}.c`), Buffer.alloc(size, `${index} line\n`));
  }
  execFileSync('find', [root, '-type', 'f', '-exec', 'touch', '-d', '2012-01-01', '{}', '+'], { timeout: 60_000 });
  return bytes;
}

function shuffled<T>(items: readonly T[]): T[] {
  const random = seededRandom(9);
  return items.map((item) => ({ item, at: random() })).sort((a, b) => a.at - b.at).map(({ item }) => item);
}
