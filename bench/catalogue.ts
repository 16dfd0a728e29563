/**
 * Figures of the catalogue: `node bench/catalogue.ts [--files 1000000] [--rounds 3] [--dir /var/tmp]`. Compare the ratios, which come from
 * interleaved rounds of one run; absolute times belong to the machine and the moment. Needs the `sqlite3` shell.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, createWriteStream, fsyncSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { openCatalog } from '../src/catalog/index.ts';
import type { ArchivedMembers, Catalog } from '../src/catalog/model.ts';

const { values: options } = parseArgs({
  options: {
    files: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '3' },
    dir: { type: 'string', default: tmpdir() },
    memory: { type: 'string' },
  },
});
const files = Number(options.files);
const rounds = Number(options.rounds);
const perDirectory = 20;
const perContainer = 50_000;
const perBatch = 10_000;
const perSlice = 2000;

async function main(): Promise<void> {
  const folder = mkdtempSync(join(options.dir, 'hsm-bench-catalogue-'));
  try {
    await bulkInsert(folder, Math.min(files, 100_000));
    const path = join(folder, 'catalogue.db');
    const catalog = openCatalog(path);
    const started = performance.now();
    await fill(catalog, files);
    report('bulk insert of all files', `${perSecond(files, performance.now() - started)} files/s (${files} files)`);
    await catalog.close();
    report('bytes a file', (statSync(path).size / files).toFixed(1), '<= 220');
    await figures(path, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same rows through addArchived and through the sqlite3 shell, in turn. */
async function bulkInsert(folder: string, count: number): Promise<void> {
  const source = join(folder, 'source.db');
  const filled = openCatalog(source);
  await fill(filled, count);
  await filled.close();
  const script = join(folder, 'insert.sql');
  await writeScript(source, script);
  const copy = copyScript(source, count);

  const ours: Spent[] = [];
  const inserts: Spent[] = [];
  const copies: Spent[] = [];
  for (let round = 0; round < rounds; round++) {
    const fresh = (name: string): string => join(folder, `${name}-${round}.db`);
    const catalog = openCatalog(fresh('ours'));
    const batches = [...membersOf(count)];
    const containers = await prepare(catalog, count);
    const cpu = process.cpuUsage();
    const wall = await time(async () => {
      for (const [i, batch] of batches.entries()) await catalog.addArchived([containers[Math.floor((i * perBatch) / perContainer)] ?? 0], batch);
    });
    const { user, system } = process.cpuUsage(cpu);
    ours.push({ wall, cpu: (user + system) / 1000 });
    await catalog.close();
    inserts.push(await shell(fresh('script'), count, script, undefined));
    copies.push(await shell(fresh('copy'), count, undefined, copy));
    for (const name of ['ours', 'script', 'copy']) rmSync(fresh(name));
  }
  const line = (what: string, spent: readonly Spent[]): void =>
    report(what, `${perSecond(count, middle(spent, 'wall'))} files/s, ${((middle(spent, 'cpu') * 1000) / count).toFixed(1)} us of CPU a file`);
  line('addArchived', ours);
  line('sqlite3 shell, INSERT script', inserts);
  line('sqlite3 shell, INSERT ... SELECT', copies);
  for (const kind of ['wall', 'cpu'] as const) {
    report(`speed against the INSERT script, ${kind}`, (middle(inserts, kind) / middle(ours, kind)).toFixed(2), '>= 0.6');
    report(`speed against INSERT ... SELECT, which neither parses nor binds, ${kind}`, (middle(copies, kind) / middle(ours, kind)).toFixed(2));
  }
}

/** ms. */
interface Spent {
  readonly wall: number;
  readonly cpu: number;
}

const middle = (spent: readonly Spent[], kind: keyof Spent): number => median(spent.map((each) => each[kind]));

const pragmas = 'PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -8192; PRAGMA journal_size_limit = 67108864;';

/** Runs the shell on a catalogue that is made, with its containers, beforehand. */
async function shell(path: string, count: number, script: string | undefined, input: string | undefined): Promise<Spent> {
  const catalog = openCatalog(path);
  await prepare(catalog, count);
  await catalog.close();
  const stdin = script === undefined ? 'pipe' : openSync(script, 'r');
  let cpu = '';
  const wall = await time(async () => {
    const timed = 'TIMEFORMAT="%U %S"; { time sqlite3 -batch -bail "$0" >/dev/null; } 2>&1';
    cpu = execFileSync('bash', ['-c', timed, path], { stdio: [stdin, 'pipe', 'inherit'], timeout: 300_000, encoding: 'utf8', ...(input === undefined ? {} : { input }) });
  });
  if (typeof stdin === 'number') closeSync(stdin);
  const db = new Database(path, { readonly: true });
  const rows = db.prepare<[], number>('SELECT count(*) FROM files').pluck().get();
  db.close();
  if (rows !== count) throw new Error(`the shell inserted ${rows} of ${count} files`);
  const [user = 0, system = 0] = cpu.trim().split(' ').map(Number);
  return { wall, cpu: (user + system) * 1000 };
}

const slices = (count: number): readonly number[] => Array.from({ length: Math.ceil(count / perSlice) }, (_, i) => i * perSlice);

function copyScript(source: string, count: number): string {
  const steps = slices(count).map((from) => {
    const range = `n > ${from} AND n <= ${from + perSlice}`;
    return `BEGIN IMMEDIATE;
      INSERT INTO objects SELECT * FROM s.objects WHERE ${range};
      INSERT INTO copies SELECT * FROM s.copies WHERE ${range.replaceAll('n >', 'object >').replaceAll('n <', 'object <')};
      INSERT INTO files SELECT f.* FROM s.objects o CROSS JOIN s.files f ON f.filesystem = 1 AND f.ino = o.ino WHERE ${range.replaceAll('n ', 'o.n ')};
      COMMIT;`;
  });
  return `${pragmas} ATTACH '${source}' AS s; INSERT OR IGNORE INTO directories SELECT * FROM s.directories; ${steps.join('\n')}`;
}

async function writeScript(source: string, script: string): Promise<void> {
  const db = new Database(source, { readonly: true });
  const out = createWriteStream(script);
  const put = async (text: string): Promise<void> => {
    if (!out.write(text)) await once(out, 'drain');
  };
  const insert = (table: string, columns: string, where: string): string =>
    db
      .prepare<[], string>(`SELECT 'INSERT INTO ${table} VALUES (' || concat_ws(',', ${columns}) || ');' FROM ${table} ${where}`)
      .pluck()
      .all()
      .join('\n');
  await put(`${pragmas}\n${insert('directories', `id, filesystem, coalesce(parent, 'NULL'), quote(name)`, 'WHERE parent IS NOT NULL')}\n`);
  const count = db.prepare<[], number>('SELECT count(*) FROM objects').pluck().get() ?? 0;
  for (const from of slices(count)) {
    const range = `BETWEEN ${from + 1} AND ${from + perSlice}`;
    await put('BEGIN IMMEDIATE;\n');
    await put(`${insert('objects', 'n, quote(id), size, mtime_ns, quote(sha256), filesystem, ino', `WHERE n ${range}`)}\n`);
    await put(`${insert('copies', 'object, container, offset, length', `WHERE object ${range}`)}\n`);
    const own = `WHERE ino IN (SELECT ino FROM objects WHERE n ${range}) ORDER BY ino`;
    await put(`${insert('files', 'filesystem, ino, state, ctime_ns, handle_hash, object, directory, quote(name)', own)}\nCOMMIT;\n`);
  }
  out.end();
  await once(out, 'close');
  db.close();
}

async function figures(path: string, folder: string): Promise<void> {
  const seen = JSON.parse(execFileSync(process.execPath, [import.meta.filename, '--memory', path, '--files', String(files)], { encoding: 'utf8' })) as Memory;
  report('opening', `${seen.openMs.toFixed(1)} ms`, '< 30 ms');
  report('memory', `${mib(seen.before)} before, ${mib(seen.opened)} opened, ${mib(seen.used)} MiB after ${seen.lookups} lookups`);

  const catalog = openCatalog(path);
  const inos = inodes(files);
  const random = (): number => inos[Math.floor(Math.random() * files)] ?? 0;
  const db = new Database(path, { readonly: true });
  db.pragma('cache_size = -8192');
  const bare = db.prepare<[number, number]>('SELECT object FROM files WHERE filesystem = ? AND ino = ?').raw();
  const byInode: number[] = [];
  const floor: number[] = [];
  for (let i = 0; i < 50_000; i++) {
    const ino = random();
    byInode.push(await time(() => catalog.filesByInode(1, [ino])));
    floor.push(await time(async () => bare.get(1, random())));
  }
  db.close();
  report('lookup of a file', quantiles(byInode.slice(10_000)), 'p99 <= 25 us');
  report('floor: one column of one table by its key', quantiles(floor.slice(10_000)));
  report('ratio of their medians', (median(byInode.slice(10_000)) / median(floor.slice(10_000))).toFixed(2));

  await durableChange(catalog, folder, random);

  const many = Float64Array.from({ length: Math.min(files, 100_000) }, (_, i) => inos[i] ?? 0);
  const moves = [...many].map((ino) => ({ ino, to: 'stub' as const, ctimeNs: 1n }));
  const settled = await catalog.filesByInode(1, [...many]);
  const movable = moves.filter((_, i) => settled[i]?.state === 'archived');
  const moved = await time(() => catalog.moveFiles(1, movable));
  report('moveFiles in bulk', `${((moved * 1000) / movable.length).toFixed(1)} us a file`);

  const wanted = Array.from({ length: 10_000 }, random);
  const request = (ino: number): Promise<number> => catalog.addRecallRequest({ filesystem: 1, ino, path: `/data/some/directory/file-${ino}`, job: null, priority: 0 });
  const asked = await time(() => Promise.all(wanted.map(request)));
  report('10,000 recall requests at once, durable', `${asked.toFixed(0)} ms`);
  const sorts: number[] = [];
  for (let round = 0; round < 5; round++) sorts.push(await time(() => sortedRequests(catalog)));
  report('10,000 recall requests read and sorted by volume and position', `${median(sorts).toFixed(0)} ms`);
  await catalog.close();
}

/** One move, committed, against one write and fsync of as much in the same folder. */
async function durableChange(catalog: Catalog, folder: string, random: () => number): Promise<void> {
  const fd = openSync(join(folder, 'fsync'), 'w');
  const block = Buffer.alloc(8240, 1);
  const changes: number[] = [];
  const syncs: number[] = [];
  for (let i = 0; i < 1000; i++) {
    const ino = random();
    const [row] = await catalog.filesByInode(1, [ino]);
    if (row === undefined) continue;
    changes.push(await time(() => catalog.moveFiles(1, [{ ino, to: row.state === 'archived' ? 'stub' : 'archived' }])));
    syncs.push(await time(async () => {
      writeSync(fd, block, 0, block.length, (i % 400) * block.length);
      fsyncSync(fd);
    }));
  }
  closeSync(fd);
  report('durable state change', quantiles(changes));
  report('write and fsync', quantiles(syncs));
  report('ratio of their medians', (median(changes) / median(syncs)).toFixed(2), '<= 1.5');
}

async function sortedRequests(catalog: Catalog): Promise<unknown[]> {
  const requests = await catalog.openRecallRequests();
  const rows = await catalog.filesByInode(1, requests.map(({ ino }) => ino));
  const objects = await catalog.objects(rows.map((row) => row?.object ?? Buffer.alloc(16)));
  const places = requests.flatMap((request, i) => {
    const copy = objects[i]?.copies[0];
    return copy === undefined ? [] : [{ request, copy }];
  });
  if (places.length !== requests.length) throw new Error('a request lost its copy');
  return places.sort((a, b) => (a.copy.volume < b.copy.volume ? -1 : a.copy.volume > b.copy.volume ? 1 : a.copy.startBlock - b.copy.startBlock || a.copy.offset - b.copy.offset));
}

interface Memory {
  readonly openMs: number;
  readonly before: number;
  readonly opened: number;
  readonly used: number;
  readonly lookups: number;
}

/** In a process of its own: what opening costs, and what lookups all over the catalogue leave in memory. */
async function memory(path: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hsm-bench-warm-'));
  const warm = openCatalog(join(folder, 'warm.db'));
  const before = process.memoryUsage.rss();
  const started = performance.now();
  const catalog = openCatalog(path);
  const openMs = performance.now() - started;
  const opened = process.memoryUsage.rss();
  const lookups = 100_000;
  const inos = inodes(files);
  for (let i = 0; i < lookups; i += 100) {
    await catalog.filesByInode(1, Array.from({ length: 100 }, () => inos[Math.floor(Math.random() * files)] ?? 0));
  }
  const result: Memory = { openMs, before, opened, used: process.memoryUsage.rss(), lookups };
  await Promise.all([catalog.close(), warm.close()]);
  rmSync(folder, { recursive: true });
  process.stdout.write(JSON.stringify(result));
}

async function fill(catalog: Catalog, count: number): Promise<void> {
  const containers = await prepare(catalog, count);
  let done = 0;
  for (const batch of membersOf(count)) {
    await catalog.addArchived([containers[Math.floor(done / perContainer)] ?? 0], batch);
    done += batch.count;
  }
}

/** One filesystem, and containers of 50,000 files on volumes of ten containers. */
async function prepare(catalog: Catalog, count: number): Promise<number[]> {
  await catalog.addFilesystem({ path: '/data', type: 'ext4', uuid: 'bench' });
  const containers: number[] = [];
  for (let n = 0; n * perContainer < count; n++) {
    const barcode = `B${String(Math.floor(n / 10)).padStart(5, '0')}L9`;
    if (n % 10 === 0) await catalog.addVolume({ barcode, pool: 'default', capacity: 18e12 });
    const { id } = await catalog.beginContainer(barcode, (n % 10) * 4000);
    await catalog.closeContainer(id, { state: 'closed', bytes: 4e9, endBlock: ((n % 10) + 1) * 4000, used: ((n % 10) + 1) * 4e9 });
    containers.push(id);
  }
  return containers;
}

/** As ext4 gives them: in a row within a directory, the directories all over the disk. The same for the same count. */
function inodes(count: number): Float64Array {
  const directories = Math.ceil(count / perDirectory);
  const places = Uint32Array.from({ length: directories }, (_, i) => i);
  let seed = 1;
  for (let i = directories - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = seed % (i + 1);
    [places[i], places[j]] = [places[j] ?? 0, places[i] ?? 0];
  }
  return Float64Array.from({ length: count }, (_, i) => 12 + (places[Math.floor(i / perDirectory)] ?? 0) * perDirectory + (i % perDirectory));
}

/** Batches of members: names of 20 bytes, 20 files a directory, 50 directories in each above. */
function* membersOf(count: number): Generator<ArchivedMembers> {
  const inos = inodes(count);
  for (let from = 0; from < count; from += perBatch) {
    const size = Math.min(perBatch, count - from);
    const row = Array.from({ length: size }, (_, i) => from + i);
    const firstDirectory = Math.floor(from / perDirectory);
    const directories = Array.from({ length: Math.ceil(size / perDirectory) }, (_, i) => firstDirectory + i);
    const objectIds = Buffer.alloc(size * 16);
    const sha256 = Buffer.alloc(size * 32);
    for (const [i, n] of row.entries()) {
      objectIds.writeUInt32BE(0x01991234, i * 16);
      objectIds.writeUInt32BE(n, i * 16 + 12);
      for (let word = 0; word < 32; word += 4) sha256.writeUInt32LE(Math.imul(n + word, 2654435761) >>> 0, i * 32 + word);
    }
    yield {
      filesystem: 1,
      count: size,
      dirs: directories.map((d) => Buffer.from(`project-${Math.floor(d / 50)}/results-${d}`)),
      dir: Uint32Array.from(row, (n) => Math.floor(n / perDirectory) - firstDirectory),
      names: Buffer.from(row.map((n) => `measured-${String(n).padStart(7, '0')}.dat`).join('')),
      nameEnd: Uint32Array.from(row, (_, i) => (i + 1) * 20),
      ino: inos.slice(from, from + size),
      size: Float64Array.from(row, (n) => 4096 + (n % 100_000)),
      mtimeNs: BigInt64Array.from(row, (n) => 1_500_000_000_000_000_000n + BigInt(n) * 1_234_567_891n),
      ctimeNs: BigInt64Array.from(row, (n) => 1_700_000_000_000_000_000n + BigInt(n) * 1_234_567n),
      handleHash: Uint32Array.from(row, (n) => Math.imul(n, 2246822519) >>> 0),
      objectIds,
      sha256,
      offset: Float64Array.from(row, (n) => (n % perContainer) * 80_000),
      length: Float64Array.from(row, (n) => 6144 + (n % 100_000)),
    };
  }
}

function report(what: string, figure: string, goal?: string): void {
  process.stdout.write(`${what}: ${figure}${goal === undefined ? '' : ` (goal ${goal})`}\n`);
}

async function time(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await run();
  return performance.now() - started;
}

const sorted = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);
const at = (values: readonly number[], part: number): number => sorted(values)[Math.floor(values.length * part)] ?? 0;
const median = (values: readonly number[]): number => at(values, 0.5);
const quantiles = (ms: readonly number[]): string => `p50 ${(at(ms, 0.5) * 1000).toFixed(1)} us, p99 ${(at(ms, 0.99) * 1000).toFixed(1)} us`;
const perSecond = (count: number, ms: number): string => Math.round((count * 1000) / ms).toLocaleString('en');
const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

if (options.memory === undefined) await main();
else await memory(options.memory);
