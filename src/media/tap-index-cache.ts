/**
 * BARCODE.idx: the index of a .tap, so that a terabyte loads without reading a million markers. It describes only
 * what a synchronous filemark has made durable, grows by one record at each of these, and is removed before the
 * .tap is truncated below its end. It is a cache: absent or damaged, the markers are read again.
 */
import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { removeDurably } from './atomic-file.ts';
import { tapMarkLength, tapSize } from './tap.ts';
import type { TapFile } from './tap-file.ts';
import { TapIndex } from './tap-index.ts';

/** A record is this header and `runs` runs, little-endian; the CRC covers all that follows it. */
const layout = { magic: 0, crc: 4, runs: 8, from: 16, end: 24, endOffset: 32, headerSize: 40, runSize: 24 } as const;
const magic = 0x5844_4948; // "HIDX"

export class TapIndexCache {
  readonly #path: string;
  /** Address up to which the file describes the tape. */
  #covered = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * The index as far as the cache knows it, empty when `file` does not agree with it, and the offset up to which
   * the cache says that `file` was durable.
   */
  async load(file: TapFile): Promise<{ readonly index: TapIndex; readonly durable: number }> {
    const bytes = await readFile(this.#path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return Buffer.alloc(0);
      throw error;
    });
    const { index, length } = decode(bytes);
    const durable = index.endOffset;
    if (!(await agrees(file, index))) return { index: new TapIndex(), durable };
    this.#covered = index.endAddress;
    if (length < bytes.length) await truncate(this.#path, length);
    return { index, durable };
  }

  /** Adds what came since the last record. Only for what is durable in the .tap. */
  async extend(index: TapIndex): Promise<void> {
    if (index.endAddress <= this.#covered) return;
    if (this.#covered === 0) await writeFile(this.#path, encode(index, 0));
    else await appendFile(this.#path, encode(index, this.#covered));
    this.#covered = index.endAddress;
  }

  /** Durably forgets everything: the .tap is about to lose some of it, or the cache is wrong. */
  async drop(): Promise<void> {
    await removeDurably(this.#path);
    this.#covered = 0;
  }
}

function encode(index: TapIndex, from: number): Buffer {
  const runs = [...index.runsFrom(from)];
  const out = Buffer.alloc(layout.headerSize + runs.length * layout.runSize);
  out.writeUInt32LE(magic, layout.magic);
  out.writeUInt32LE(runs.length, layout.runs);
  out.writeDoubleLE(from, layout.from);
  out.writeDoubleLE(index.endAddress, layout.end);
  out.writeDoubleLE(index.endOffset, layout.endOffset);
  for (const [number, run] of runs.entries()) {
    const at = layout.headerSize + number * layout.runSize;
    out.writeDoubleLE(run.offset, at);
    out.writeDoubleLE(run.count, at + 8);
    out.writeUInt32LE(run.marker, at + 16);
  }
  out.writeUInt32LE(crc32(out.subarray(layout.runs)), layout.crc);
  return out;
}

/** All whole records from the beginning on, and the bytes that they take; a torn or foreign one ends them. */
function decode(bytes: Buffer): { readonly index: TapIndex; readonly length: number } {
  const index = new TapIndex();
  let at = 0;
  while (at + layout.headerSize <= bytes.length) {
    const size = layout.headerSize + bytes.readUInt32LE(at + layout.runs) * layout.runSize;
    const record = bytes.subarray(at, at + size);
    if (record.length < size || record.readUInt32LE(layout.magic) !== magic) break;
    if (record.readUInt32LE(layout.crc) !== crc32(record.subarray(layout.runs))) break;
    if (record.readDoubleLE(layout.from) !== index.endAddress) break;
    for (let run = layout.headerSize; run < size; run += layout.runSize) {
      index.skip(record.readDoubleLE(run) - index.endOffset);
      index.push(record.readUInt32LE(run + 16), record.readDoubleLE(run + 8));
    }
    at += size;
  }
  return { index, length: at };
}

/** Compares the index's length with the file's, and its last runs with the markers around them. */
async function agrees(file: TapFile, index: TapIndex): Promise<boolean> {
  if (index.endOffset > (await file.size())) return false;
  const edge = Buffer.allocUnsafe(tapMarkLength);
  for (const run of [...index.runsFrom(0)].slice(-8)) {
    for (const offset of [run.offset, run.offset + run.count * tapSize(run.marker) - tapMarkLength]) {
      if ((await file.read([edge], offset)) < tapMarkLength || edge.readUInt32LE(0) !== run.marker) return false;
    }
  }
  return true;
}
