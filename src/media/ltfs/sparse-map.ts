/** The map in front of a sparse member's data (GNU sparse 1.0): the number of segments, then offset and length of each. */
import { HsmError } from '../../errors.ts';

export interface Segment {
  readonly offset: number;
  readonly length: number;
}

const newline = 0x0a;
const block = 512;
const digit = { first: 0x30, last: 0x39 };

/** Takes a payload's first bytes, however they are cut up. */
export class SparseMapReader {
  /** Bytes of the map so far, its padding included. */
  length = 0;
  readonly #numbers: number[] = [];
  #wanted = 1;
  #number = -1;

  /** The map is complete: what follows is data. */
  get done(): boolean {
    return this.#numbers.length === this.#wanted && this.length % block === 0;
  }

  /** How many of the bytes belong to the map. Fails with `EIO` for one that is none. */
  feed(data: Buffer): number {
    let taken = 0;
    while (!this.done && taken < data.length) {
      if (this.#numbers.length < this.#wanted) this.#take(data[taken]!);
      taken += 1;
      this.length += 1;
    }
    return taken;
  }

  get segments(): Segment[] {
    return Array.from({ length: (this.#numbers.length - 1) / 2 }, (_, i) => ({ offset: this.#numbers[1 + 2 * i]!, length: this.#numbers[2 + 2 * i]! }));
  }

  #take(byte: number): void {
    if (byte === newline && this.#number >= 0) {
      if (this.#numbers.length === 0) this.#wanted = 1 + 2 * this.#number;
      this.#numbers.push(this.#number);
      this.#number = -1;
      return;
    }
    this.#number = Math.max(0, this.#number) * 10 + byte - digit.first;
    if (byte < digit.first || byte > digit.last || !Number.isSafeInteger(this.#number)) throw new HsmError('EIO', 'the map of a sparse file is damaged', { retry: 'other-copy' });
  }
}
