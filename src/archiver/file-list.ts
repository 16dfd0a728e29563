/** Files in flat memory: what the scan finds, the packer reads and the catalogue keeps, without an object per file. */
import type { PackInput } from '../native/index.ts';

/** Columns that the scan's batches and our own lists share (WalkBatch tells their units). */
export interface FileColumns {
  readonly dirs: readonly Buffer[];
  readonly dir: Uint32Array;
  readonly names: Buffer;
  readonly nameEnd: Uint32Array;
  readonly ino: Float64Array;
  readonly size: Float64Array;
  readonly blocks: Float64Array;
  readonly nlink: Uint32Array;
}

/** A list made in one go from rows of other columns. */
export class FileList implements FileColumns, PackInput {
  readonly count: number;
  readonly dirs: readonly Buffer[];
  readonly dir: Uint32Array;
  readonly names: Buffer;
  readonly nameEnd: Uint32Array;
  readonly ino: Float64Array;
  readonly size: Float64Array;
  readonly blocks: Float64Array;
  readonly nlink: Uint32Array;
  /** Bytes on tape, about. */
  readonly weight: number;

  /** Copies rows `rows[begin..end)` of `from`. */
  constructor(from: FileColumns, rows: Uint32Array, begin = 0, end = rows.length) {
    const count = end - begin;
    this.count = count;
    this.dir = new Uint32Array(count);
    this.nameEnd = new Uint32Array(count);
    this.ino = new Float64Array(count);
    this.size = new Float64Array(count);
    this.blocks = new Float64Array(count);
    this.nlink = new Uint32Array(count);
    const dirs: Buffer[] = [];
    const known = new Int32Array(from.dirs.length).fill(-1);
    let bytes = 0;
    let weight = 0;
    for (let i = 0; i < count; i += 1) {
      const row = rows[begin + i]!;
      bytes += from.nameEnd[row]! - nameStart(from, row);
      this.nameEnd[i] = bytes;
      const dir = from.dir[row]!;
      if (known[dir] === -1) known[dir] = dirs.push(from.dirs[dir]!) - 1;
      this.dir[i] = known[dir]!;
      this.ino[i] = from.ino[row]!;
      this.size[i] = from.size[row]!;
      this.blocks[i] = from.blocks[row]!;
      this.nlink[i] = from.nlink[row]!;
      weight += weightOf(from, row);
    }
    this.weight = weight;
    this.dirs = dirs;
    this.names = Buffer.allocUnsafeSlow(bytes);
    copyNames(from, rows, begin, end, this.names);
  }
}

/** A pax header and a tar header, as most members have them. */
const headerBytes = 2048;

/** Bytes that a file takes on tape, about: holes are not written. */
export const weightOf = ({ size, blocks }: Pick<FileColumns, 'size' | 'blocks'>, row: number): number => headerBytes + Math.min(size[row]!, blocks[row]! * 512);

/** Path of a row, relative to the filesystem's root. */
export function pathOf(files: Pick<FileColumns, 'dirs' | 'dir' | 'names' | 'nameEnd'>, row: number): Buffer {
  const dir = files.dirs[files.dir[row]!]!;
  const start = nameStart(files, row);
  const end = files.nameEnd[row]!;
  const path = Buffer.allocUnsafe(dir.length === 0 ? end - start : dir.length + 1 + end - start);
  let at = 0;
  if (dir.length > 0) {
    path.set(dir);
    path[dir.length] = 0x2f;
    at = dir.length + 1;
  }
  files.names.copy(path, at, start, end);
  return path;
}

export const nameStart = ({ nameEnd }: Pick<FileColumns, 'nameEnd'>, row: number): number => (row === 0 ? 0 : nameEnd[row - 1]!);

/** Copies names, whole runs of consecutive rows at a time. */
export function copyNames(from: Pick<FileColumns, 'names' | 'nameEnd'>, rows: Uint32Array, begin: number, end: number, into: Buffer): void {
  let at = 0;
  for (let i = begin; i < end; ) {
    let j = i + 1;
    while (j < end && rows[j] === rows[j - 1]! + 1) j += 1;
    at += from.names.copy(into, at, nameStart(from, rows[i]!), from.nameEnd[rows[j - 1]!]);
    i = j;
  }
}
