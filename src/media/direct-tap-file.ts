/**
 * A .tap past the page cache (O_DIRECT): what is written is on its way to the disk at once, what is read comes from there. Only the file's
 * last, incomplete unit goes through the page cache, so that the file never claims a byte that was not written.
 */
import type { FileHandle } from 'node:fs/promises';
import { native } from '../native/index.ts';
import type { TapFile } from './tap-file.ts';

/** Offsets, lengths and memory are multiples of this. */
export const directUnit = 4096;

/** A block of 1 MiB with its markers, wherever it begins. */
const windowSize = 2 ** 20 + 2 * directUnit;

/** Shorter reads are those of markers and labels, which lie in units that the page cache keeps for the next one. */
const directFrom = 64 * 1024;

/** The file opened with O_DIRECT. */
export type DirectHandle = Pick<FileHandle, 'read' | 'write' | 'close'>;

export class DirectTapFile implements TapFile {
  /** The same file, for everything that is not aligned. */
  readonly #buffered: TapFile;
  readonly #direct: DirectHandle;
  #window: Buffer | null = null;
  /** The unit in which the last write ended, up to there; `start` is null when that is not known. */
  readonly #tail: { start: number | null; length: number; isWritten: boolean; readonly bytes: Buffer } = {
    start: null,
    length: 0,
    isWritten: true,
    bytes: Buffer.alloc(directUnit),
  };
  /** Whoever uses window or tail waits for the one before. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(buffered: TapFile, direct: DirectHandle) {
    this.#buffered = buffered;
    this.#direct = direct;
  }

  size(): Promise<number> {
    return this.#inTurn(async () => {
      await this.#writeTail();
      return this.#buffered.size();
    });
  }

  async read(buffers: readonly Buffer[], offset: number): Promise<number> {
    const length = lengthOf(buffers);
    if (!this.#tail.isWritten || length >= directFrom) {
      return this.#inTurn(async () => {
        await this.#writeTail();
        return length >= directFrom ? this.#readDirect(buffers, offset, length) : this.#buffered.read(buffers, offset);
      });
    }
    return this.#buffered.read(buffers, offset);
  }

  write(buffers: readonly Buffer[], offset: number): Promise<void> {
    return this.#inTurn(async () => {
      await this.#tailTo(offset);
      await this.#writeUnits(buffers);
    });
  }

  truncate(size: number): Promise<void> {
    return this.#inTurn(async () => {
      await this.#writeTail();
      this.#tail.start = null;
      await this.#buffered.truncate(size);
    });
  }

  /** Writes may go on meanwhile: what it makes durable is what was written before it was called. */
  async sync(): Promise<void> {
    await this.#inTurn(() => this.#writeTail());
    await this.#buffered.sync();
  }

  close(): Promise<void> {
    return this.#inTurn(async () => {
      try {
        await this.#writeTail();
      } finally {
        this.#window = null;
        await this.#direct.close();
        await this.#buffered.close();
      }
    });
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #writeTail(): Promise<void> {
    const { start, length, isWritten, bytes } = this.#tail;
    if (isWritten || start === null) return;
    await this.#buffered.write([bytes.subarray(0, length)], start);
    this.#tail.isWritten = true;
  }

  /** Makes the tail end at `offset`. */
  async #tailTo(offset: number): Promise<void> {
    const tail = this.#tail;
    if (tail.start !== null && tail.start + tail.length === offset) return;
    await this.#writeTail();
    tail.start = null;
    const start = offset - (offset % directUnit);
    const before = tail.bytes.subarray(0, offset - start);
    // Nothing there, as behind the end of the file, is zeros, as in any file.
    before.fill(0, before.length === 0 ? 0 : await this.#buffered.read([before], start));
    tail.start = start;
    tail.length = before.length;
  }

  /** The tail and `buffers` behind it: all whole units, and what is left is the new tail. When it fails the tail is as before. */
  async #writeUnits(buffers: readonly Buffer[]): Promise<void> {
    const window = this.#memory();
    let at = this.#tail.start ?? 0;
    let filled = this.#tail.bytes.copy(window, 0, 0, this.#tail.length);
    for (const buffer of buffers) {
      for (let from = 0; from < buffer.length; ) {
        const copied = buffer.copy(window, filled, from);
        from += copied;
        filled += copied;
        if (filled < window.length) continue;
        await this.#writeWindow(window, at);
        at += filled;
        filled = 0;
      }
    }
    const whole = filled - (filled % directUnit);
    if (whole > 0) await this.#writeWindow(window.subarray(0, whole), at);
    window.copy(this.#tail.bytes, 0, whole, filled);
    Object.assign(this.#tail, { start: at + whole, length: filled - whole, isWritten: filled === whole });
  }

  async #writeWindow(units: Buffer, offset: number): Promise<void> {
    for (let done = 0; done < units.length; ) {
      const { bytesWritten } = await this.#direct.write(units, done, units.length - done, offset + done);
      if (bytesWritten < directUnit) throw Object.assign(new Error('a write came to nothing, as on a full disk'), { code: 'ENOSPC' });
      done += bytesWritten - (bytesWritten % directUnit);
    }
  }

  async #readDirect(buffers: readonly Buffer[], offset: number, length: number): Promise<number> {
    const window = this.#memory();
    let done = 0;
    while (done < length) {
      const skip = (offset + done) % directUnit;
      const wanted = Math.min(window.length, Math.ceil((skip + length - done) / directUnit) * directUnit);
      const read = await this.#readWindow(window.subarray(0, wanted), offset + done - skip);
      const found = window.subarray(skip, Math.min(read, skip + length - done));
      scatter(found, buffers, done);
      done += found.length;
      if (read < wanted) break;
    }
    return done;
  }

  /** Bytes read: fewer than asked for only at the end of the file, the only place where there is less than a unit. */
  async #readWindow(units: Buffer, offset: number): Promise<number> {
    let done = 0;
    while (done < units.length) {
      const { bytesRead } = await this.#direct.read(units, done, units.length - done, offset + done);
      done += bytesRead;
      if (bytesRead % directUnit !== 0 || bytesRead === 0) break;
    }
    return done;
  }

  #memory(): Buffer {
    return (this.#window ??= native.alignedBuffer(windowSize));
  }
}

const lengthOf = (buffers: readonly Buffer[]): number => buffers.reduce((sum, { length }) => sum + length, 0);

/** Copies `from` to where byte `at` of `buffers`, taken together, is. */
function scatter(from: Buffer, buffers: readonly Buffer[], at: number): void {
  let done = 0;
  let start = 0;
  for (const buffer of buffers) {
    const into = at + done - start;
    if (into < buffer.length) done += from.copy(buffer, into, done);
    start += buffer.length;
    if (done === from.length) return;
  }
}
