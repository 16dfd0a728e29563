/** Reads a container that was written to a folder: the archive's blocks again, byte by byte, from its files and its headers. */
import { join } from 'node:path';
import type { FileHandle } from 'node:fs/promises';
import { HsmError } from '../../errors.ts';
import { ltfsNames, openForReading, readFully } from './layout.ts';
import { parseManifest, type BlockRuns, type ManifestPlace } from './manifest.ts';
import { SparseMapReader, type Segment } from './sparse-map.ts';

/** Content that is not in the headers: `[at, at + length)` of the archive. */
interface Piece {
  readonly at: number;
  readonly length: number;
  /** Where in the headers the bytes before it end. */
  readonly headersBefore: number;
  /** Null: void, read as zeros. */
  readonly file: string | null;
  /** Of a sparse file. */
  readonly segments: readonly Segment[] | null;
}

export class ContainerInput {
  readonly #folder: string;
  readonly #headers: Buffer;
  readonly #runs: BlockRuns;
  readonly #pieces: readonly Piece[];
  #open: { readonly file: string; readonly handle: FileHandle } | null = null;

  private constructor(folder: string, headers: Buffer, runs: BlockRuns, pieces: readonly Piece[]) {
    this.#folder = folder;
    this.#headers = headers;
    this.#runs = runs;
    this.#pieces = pieces;
  }

  /** Reads manifest and headers, which lie together on tape, once. Fails with `EIO`. */
  static async open(folder: string): Promise<ContainerInput> {
    const headers = await readWhole(join(folder, ltfsNames.headers));
    const path = join(folder, ltfsNames.manifest);
    const { blocks, members } = parseManifest((await readWhole(path)).toString('utf8'), path);
    return new ContainerInput(folder, headers, blocks, piecesOf(members, headers, total(blocks)));
  }

  /** The size of block `number`, from 0; null behind the last. */
  blockSize(number: number): number | null {
    let first = 0;
    for (const [size, count] of this.#runs) {
      if (number < first + count) return size;
      first += count;
    }
    return null;
  }

  /** Fills `into`, which has the block's size. */
  async readBlock(number: number, into: Buffer): Promise<void> {
    const from = this.#offsetOf(number);
    for (let at = 0; at < into.length; ) at += await this.#readAt(from + at, into.subarray(at));
  }

  async close(): Promise<void> {
    const { handle } = this.#open ?? {};
    this.#open = null;
    await handle?.close();
  }

  #offsetOf(number: number): number {
    let offset = 0;
    let left = number;
    for (const [size, count] of this.#runs) {
      offset += size * Math.min(count, left);
      left -= Math.min(count, left);
    }
    return offset;
  }

  /** How many bytes of `into` it filled: up to the end of the piece, or of the headers before the next one. */
  async #readAt(position: number, into: Buffer): Promise<number> {
    const i = this.#pieceBefore(position);
    const piece = this.#pieces[i];
    const inPiece = piece === undefined ? -1 : position - piece.at;
    if (piece !== undefined && inPiece < piece.length) {
      const part = into.subarray(0, piece.length - inPiece);
      await this.#readPiece(piece, inPiece, part);
      return part.length;
    }
    const next = this.#pieces[i + 1];
    const at = piece === undefined ? position : piece.headersBefore + inPiece - piece.length;
    const part = this.#headers.subarray(at, Math.min(at + into.length, next?.headersBefore ?? Infinity));
    if (part.length === 0) throw new HsmError('EIO', `${join(this.#folder, ltfsNames.headers)} ends before it should`, { retry: 'other-copy' });
    return part.copy(into);
  }

  /** The last one that begins at or before the position; -1 where there is none. */
  #pieceBefore(position: number): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#pieces[middle]!.at <= position) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  async #readPiece({ file, segments }: Piece, from: number, into: Buffer): Promise<void> {
    if (file === null) {
      into.fill(0);
      return;
    }
    const handle = await this.#handleOf(file);
    const what = join(this.#folder, file);
    if (segments === null) return readFully(handle, into, from, what);
    let before = 0;
    for (const { offset, length } of segments) {
      const first = Math.max(before, from);
      const last = Math.min(before + length, from + into.length);
      if (first < last) await readFully(handle, into.subarray(first - from, last - from), offset + first - before, what);
      before += length;
    }
  }

  async #handleOf(file: string): Promise<FileHandle> {
    if (this.#open?.file === file) return this.#open.handle;
    await this.close();
    const handle = await openForReading(join(this.#folder, file));
    this.#open = { file, handle };
    return handle;
  }
}

async function readWhole(path: string): Promise<Buffer> {
  const handle = await openForReading(path);
  try {
    const data = Buffer.allocUnsafeSlow((await handle.stat()).size);
    await readFully(handle, data, 0, path);
    return data;
  } finally {
    await handle.close();
  }
}

const total = (runs: BlockRuns): number => runs.reduce((sum, [size, count]) => sum + size * count, 0);

function piecesOf(members: readonly ManifestPlace[], headers: Buffer, end: number): Piece[] {
  const pieces: Piece[] = [];
  let covered = 0;
  for (const { file, offset, headerLength, payload, map } of members) {
    const at = offset + headerLength + map;
    const length = Math.min(payload - map, end - at);
    if (length <= 0) continue;
    const headersBefore = at - covered;
    const segments = map > 0 ? segmentsOf(headers.subarray(headersBefore - map, headersBefore)) : null;
    pieces.push({ at, length, headersBefore, file, segments });
    covered += length;
  }
  return pieces;
}

function segmentsOf(map: Buffer): Segment[] {
  const reader = new SparseMapReader();
  reader.feed(map);
  if (reader.done) return reader.segments;
  throw new HsmError('EIO', 'the map of a sparse file is cut short', { retry: 'other-copy' });
}
