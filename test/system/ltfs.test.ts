/** Archive, release, recall and verify on volumes of LTFS, through a real daemon. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { execaSync } from 'execa';
import { ltfsOnPath, realLtfs } from '../fixtures/ltfs/index.ts';
import { managed, summaryOf, type Managed } from '../fixtures/managed.ts';
import { seededBytes } from '../fixtures/random.ts';

const mib = 2 ** 20;

test.serial('a life on LTFS volumes: two pools, release, recall, verify, a restart, a rebuild of the catalogue', (t) => life(t, '128M', ltfsOnPath(t)));

// LTFS's own programs are in no Debian package: the fake above is what runs everywhere.
if (realLtfs === null) test.skip('the same with the programs of the reference: there is no ltfs on PATH', (t) => t.pass());
else test.serial('the same with the programs of the reference', (t) => life(t, '1G', process.env['PATH'] ?? ''));

async function life(t: ExecutionContext, capacity: string, path: string): Promise<void> {
  const hsm = await managed(t, 'ext4', { sizeMiB: 256, init: ['--format', 'ltfs', '--capacity', capacity, '--cartridges', '3'], env: { PATH: path } });
  const files = makeFiles(hsm.mount);
  const summary = summaryOf(await hsm.json('archive', '--older-than', '0s', '--pool', 'first', '--pool', 'second', hsm.mount));
  t.like(summary, { archived: files.size, released: files.size, failed: 0 });
  for (const state of await statesOf(hsm)) t.is(state, 'stub');

  t.deepEqual(await readAll(hsm.mount, files), files, 'read back through the daemon');
  t.like(summaryOf(await hsm.json('release', hsm.mount)), { released: files.size, failed: 0 });
  t.is(await hsm.stopDaemon(), 0);
  await hsm.startDaemon();
  for (const { barcode, objects } of (await hsm.json('tape', 'ls')) as { barcode: string; objects: number }[]) {
    if (objects > 0) t.like((await hsm.json('verify', '--tape', barcode)).at(-1), { checked: files.size, damaged: 0 });
  }
  t.deepEqual(await readAll(hsm.mount, files), files);
  t.like(summaryOf(await hsm.json('release', hsm.mount)), { released: files.size });

  t.is(await hsm.stopDaemon(), 0);
  const rebuilt = await hsm.hsm('rebuild', '--from-tapes', '--replace');
  t.is(rebuilt.exitCode, 0, rebuilt.stderr);
  await hsm.startDaemon();
  t.deepEqual(await readAll(hsm.mount, files), files, 'with the catalogue that the manifests gave back');
}

/** Small, large, empty, sparse, with odd names and metadata; those that are archived, with the hash of their content. */
function makeFiles(mount: string): Map<string, string> {
  const made = new Map<string, Buffer>();
  for (let i = 0; i < 40; i += 1) made.set(`home/ann/letter ${i}.txt`, seededBytes(i, 100 + 700 * i));
  made.set('home/ann/ümlaut: "quoted" \\ file', seededBytes(50, 5000));
  made.set('video/large.bin', seededBytes(51, 5 * mib + 17));
  for (const [name, content] of made) {
    mkdirSync(join(mount, name, '..'), { recursive: true });
    writeFileSync(join(mount, name), content);
  }
  writeFileSync(join(mount, 'sparse.img'), seededBytes(52, 8192));
  truncateSync(join(mount, 'sparse.img'), 9 * mib);
  writeFileSync(join(mount, 'sparse.img'), seededBytes(53, 4096), { flag: 'a' });
  chmodSync(join(mount, 'home/ann/letter 3.txt'), 0o640);
  execaSync('setfattr', ['-n', 'user.note', '-v', 'kept', join(mount, 'home/ann/letter 3.txt')], { timeout: 10_000 });
  execaSync('setfacl', ['-m', 'u:1234:r', join(mount, 'home/ann/letter 3.txt')], { timeout: 10_000 });
  return new Map([...made.keys(), 'sparse.img'].map((name) => [name, hashOf(join(mount, name))]));
}

const hashOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** By another process: a reader of a stub waits for the daemon. */
async function readAll(mount: string, files: ReadonlyMap<string, string>): Promise<Map<string, string>> {
  const { stdout } = execaSync('sha256sum', ['-z', '--', ...files.keys()], { cwd: mount, timeout: 120_000 });
  return new Map(stdout.split('\0').filter(Boolean).map((line) => [line.slice(66), line.slice(0, 64)]));
}

const statesOf = async (hsm: Managed): Promise<unknown[]> => (await hsm.json('ls', '-R', hsm.mount)).map(({ state }) => state);
