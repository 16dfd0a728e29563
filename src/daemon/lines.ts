/** Splits a byte stream into lines of bounded length. */
import { HsmError } from '../errors.ts';

export class LineSplitter {
  readonly #max: number;
  #parts: Buffer[] = [];
  #length = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** The lines that `chunk` completes, without their newlines. Fails with `LINE_TOO_LONG`; the stream cannot be followed after that. */
  push(chunk: Buffer): Buffer[] {
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#length));
      this.#parts = [];
      this.#length = 0;
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > this.#max) throw new HsmError('LINE_TOO_LONG', `a line is longer than ${this.#max} bytes`);
    // Parts at least double from the newest to the oldest: a sender of single bytes costs no more memory than its bytes.
    let last = part;
    for (let before = this.#parts.at(-1); before !== undefined && before.length <= last.length; before = this.#parts.at(-1)) {
      this.#parts.pop();
      last = Buffer.concat([before, last]);
    }
    this.#parts.push(last);
  }
}
