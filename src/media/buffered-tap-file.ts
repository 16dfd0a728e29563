/** A .tap through the page cache. */
import type { FileHandle } from 'node:fs/promises';
import type { TapFile } from './tap-file.ts';

export class BufferedTapFile implements TapFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async read(buffers: readonly Buffer[], offset: number): Promise<number> {
    let rest: readonly Buffer[] = buffers;
    let done = 0;
    while (rest.length > 0) {
      const { bytesRead } = await this.#handle.readv(rest, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
      rest = after(rest, bytesRead);
    }
    return done;
  }

  async write(buffers: readonly Buffer[], offset: number): Promise<void> {
    let rest: readonly Buffer[] = buffers;
    let done = 0;
    while (rest.length > 0) {
      const { bytesWritten } = await this.#handle.writev(rest, offset + done);
      done += bytesWritten;
      rest = after(rest, bytesWritten);
    }
  }

  async truncate(size: number): Promise<void> {
    await this.#handle.truncate(size);
  }

  async sync(): Promise<void> {
    await this.#handle.datasync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** What is left of `buffers` when their first `done` bytes are dealt with. */
function after(buffers: readonly Buffer[], done: number): Buffer[] {
  const rest: Buffer[] = [];
  let skip = done;
  for (const buffer of buffers) {
    if (skip >= buffer.length) {
      skip -= buffer.length;
      continue;
    }
    rest.push(skip === 0 ? buffer : buffer.subarray(skip));
    skip = 0;
  }
  return rest;
}
