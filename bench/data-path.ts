/**
 * The data path alone, without library, catalogue and scan, on one loop-mounted ext4; interleaved, medians. Goals:
 * packing small files >= 1.0x GNU tar create; packing one large file >= 0.85x a C loop of read + SHA-256 + write; restoring
 * small stubs (Extractor, commitRestore) >= 0.7x GNU tar extract.
 * usage: node bench/data-path.ts [small files] [bytes of the large file] [rounds]
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tapeBlockSize } from '../src/media/format.ts';
import { extractStatus, native, type ExtractTarget, type Packer, type PackInput } from '../src/native/index.ts';
import { encodeStubRecord, stubXattr } from '../src/stub.ts';
import { withFilesystem } from '../test/fixtures/loopfs.ts';
import { inputOf, rowsOf, type PackedRow } from '../test/fixtures/pack.ts';

const files = Number(process.argv[2] ?? 100_000);
const largeSize = Number(process.argv[3] ?? 4e9);
const rounds = Number(process.argv[4] ?? 5);
const fileSize = 4096;
const perFolder = 500;
/** Files that are open at a time in a restore. */
const openAtOnce = 2048;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const run = (command: string, args: readonly string[]): void => void execFileSync(command, [...args], { timeout: 600_000 });

async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** A and B in turns, neither always first. Seconds, medians. */
async function interleave(name: string, a: () => unknown, b: () => unknown, reset: () => unknown): Promise<[number, number]> {
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    for (const which of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      await reset();
      times[which].push(await timed([a, b][which] ?? a));
    }
  }
  const [first, second] = [median(times[0]), median(times[1])];
  console.log(`${name}: ${first.toFixed(3)} s against ${second.toFixed(3)} s: ${(second / first).toFixed(2)}x`);
  return [first, second];
}

function makeFiles(root: string): string[] {
  const data = Buffer.alloc(fileSize, 'x');
  return Array.from({ length: files }, (_, index) => {
    if (index % perFolder === 0) mkdirSync(join(root, `d${index / perFolder}`));
    const path = `d${Math.floor(index / perFolder)}/file-${index}.dat`;
    data.writeUInt32LE(index, 0);
    writeFileSync(join(root, path), data);
    return path;
  });
}

/** Packs into a file, as the archiver does into a medium. */
async function packTo(packer: Packer, out: string, input: PackInput): Promise<PackedRow[]> {
  const fd = openSync(out, 'w');
  const rows: PackedRow[] = [];
  packer.begin();
  packer.push(input);
  packer.end();
  for (;;) {
    const { block, members } = await packer.next();
    if (members.status.some((status) => status !== 0)) throw new Error(`a file ended with ${members.status.find((status) => status !== 0)}`);
    if (keepRows) rows.push(...rowsOf(members));
    if (block === null) break;
    writeSync(fd, block);
    packer.release(block);
  }
  closeSync(fd);
  return rows;
}
let keepRows = false;

const recordOf = (row: PackedRow): Buffer =>
  encodeStubRecord({ flags: 0, volume: 'V00001L9', container: 1, offset: row.offset, object: row.objectId, size: row.size, mtimeNs: row.mtimeNs, handleHash: row.handleHash });

/** Hollow files with their records. */
function makeStubs(rootFd: number, paths: readonly string[], rows: readonly PackedRow[]): void {
  for (const [i, path] of paths.entries()) {
    const row = rows[i];
    if (row === undefined) throw new Error('a row is missing');
    const fd = native.openBeneath(rootFd, Buffer.from(path), constants.O_RDWR);
    native.setxattr(fd, stubXattr, recordOf(row));
    native.punchHole(fd, 0, fileSize);
    closeSync(fd);
  }
}

async function restore(rootFd: number, container: string, paths: readonly string[], rows: readonly PackedRow[]): Promise<void> {
  const tape = openSync(container, 'r');
  const buffers = [Buffer.allocUnsafeSlow(tapeBlockSize), Buffer.allocUnsafeSlow(tapeBlockSize)] as const;
  let committing: Promise<void> = Promise.resolve();
  for (let from = 0; from < paths.length; from += openAtOnce) {
    const batch = rows.slice(from, from + openAtOnce);
    const targets = batch.map((row, i): ExtractTarget => {
      const path = paths[from + i] ?? '';
      const fd = native.openBeneath(rootFd, Buffer.from(path), constants.O_RDWR | constants.O_NOATIME);
      return { offset: row.offset, objectId: row.objectId, size: row.size, sha256: row.sha256, fd, record: recordOf(row) };
    });
    const extractor = new native.Extractor(targets);
    let feeding: Promise<void> = Promise.resolve();
    const last = batch.at(-1);
    const end = (last?.offset ?? 0) + (last?.length ?? 0);
    for (let at = Math.floor((batch[0]?.offset ?? 0) / tapeBlockSize) * tapeBlockSize, turn = 0; at < end; at += tapeBlockSize, turn += 1) {
      const buffer = buffers[turn % 2 === 0 ? 0 : 1];
      readSync(tape, buffer, 0, tapeBlockSize, at);
      await feeding;
      feeding = extractor.feed(at, buffer).then((results) => {
        for (const { target, status } of results) if (status !== extractStatus.restored) throw new Error(`file ${from + target} ended with ${status}`);
      });
    }
    await feeding;
    await committing;
    committing = native.commitRestore(-1, targets.map(({ fd, size }, i) => ({ fd, size, atimeNs: 0n, mtimeNs: batch[i]?.mtimeNs ?? 0n }))).then(({ status }) => { // prettier-ignore
      if (status.some((each) => each !== 0)) throw new Error('a commit failed');
      for (const { fd } of targets) closeSync(fd);
    });
  }
  await committing;
  closeSync(tape);
}

const bytes = files * 12_000 + largeSize * 2.1 + 2e9;
await withFilesystem('ext4', Math.ceil(bytes / 2 ** 20), async (mount) => {
  const folder = mkdtempSync(join(tmpdir(), 'hsm-bench-'));
  const source = join(mount, 'source');
  mkdirSync(source);
  const paths = makeFiles(source);
  const mountFd = openSync(source, 'r');
  const packer = new native.Packer({ mountFd, blockSize: tapeBlockSize, objectPrefix: Buffer.alloc(8) });
  const sync = (): void => run('sync', ['-f', mount]);
  sync();
  try {
    const tarFile = join(mount, 'x.tar');
    const container = join(mount, 'x.container');
    const input = inputOf(source, paths);
    run('tar', ['-cf', tarFile, '-C', source, '.']);
    const reset = (): void => {
      rmSync(tarFile, { force: true });
      rmSync(container, { force: true });
      sync();
    };
    await interleave(`pack ${files} files of ${fileSize} B / GNU tar create`, () => packTo(packer, container, input), () => run('tar', ['-cf', tarFile, '-C', source, '.']), reset); // prettier-ignore

    reset();
    keepRows = true;
    const rows = await packTo(packer, container, input);
    keepRows = false;
    run('tar', ['-cf', tarFile, '-C', source, '.']);
    const out = join(mount, 'out');
    const stubs = (): void => {
      rmSync(out, { recursive: true, force: true });
      makeStubs(mountFd, paths, rows);
      mkdirSync(out);
      sync();
    };
    const extract = (): void => run('tar', ['-xf', tarFile, '-C', out]);
    await interleave(`restore ${files} files of ${fileSize} B / GNU tar extract`, () => restore(mountFd, container, paths, rows), extract, stubs); // prettier-ignore
    await interleave(`restore ${files} files of ${fileSize} B / GNU tar extract and sync`, () => restore(mountFd, container, paths, rows), () => (extract(), sync()), stubs); // prettier-ignore
    for (const path of [out, ...Array.from({ length: Math.ceil(files / perFolder) }, (_, i) => join(source, `d${i}`))]) rmSync(path, { recursive: true });
    reset();

    const loop = join(folder, 'read-hash-write');
    run('gcc', ['-O2', '-o', loop, fileURLToPath(new URL('read-hash-write.c', import.meta.url)), '-l:libcrypto.so.3']);
    const large = join(source, 'large');
    const fd = openSync(large, 'w');
    const piece = Buffer.alloc(tapeBlockSize, 'y');
    for (let at = 0; at < largeSize; at += piece.length) writeSync(fd, piece, 0, Math.min(piece.length, largeSize - at), at);
    closeSync(fd);
    const one = inputOf(source, ['large']);
    await interleave(`pack one file of ${statSync(large).size} B / C loop`, () => packTo(packer, container, one), () => run(loop, [large, tarFile]), reset); // prettier-ignore
  } finally {
    packer.close();
    closeSync(mountFd);
    rmSync(folder, { recursive: true, force: true });
  }
});
