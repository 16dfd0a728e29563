/** Reads the blocks of a loaded volume that are wanted, and gets from one to the next in the quickest way. */
import { errorCode } from '../errors.ts';
import type { BlockAddress, Medium } from '../media/medium.ts';
import { blockSize, isReadThrough, type Geometry } from './scheduler/travel.ts';

/** Where nothing is known of the tape, so many blocks are read and thrown away rather than located over. */
const readThrough = 4;

/**
 * For one use of a volume, by one caller. The block that was read last is kept: what was wanted of it is often followed by what else it
 * holds, and a tape needs many seconds to run back by one block.
 */
export class BlockReader {
  readonly #medium: Medium;
  readonly #geometry: Geometry | null;
  readonly #buffers = [Buffer.allocUnsafeSlow(blockSize), Buffer.allocUnsafeSlow(blockSize)] as const;
  #turn: 0 | 1 = 0;
  /** What the head is before, as it was asked and has been counted on since; null: not known. */
  #head: BlockAddress | null = null;
  /** The head is behind it. */
  #last: { readonly address: BlockAddress; readonly data: Buffer } | null = null;
  #isLastWanted = false;

  /** `geometry`: of the volume, if known. */
  constructor(medium: Medium, geometry: Geometry | null) {
    this.#medium = medium;
    this.#geometry = geometry;
  }

  /** The first block that is to be had without a move against the tape's direction. */
  async here(): Promise<BlockAddress> {
    return this.#last?.address ?? this.#medium.position();
  }

  /** The next `read` gets this block. `locating` is called before a move that takes a while. */
  async goTo(target: BlockAddress, locating: () => void): Promise<void> {
    this.#isLastWanted = target === this.#last?.address;
    if (this.#isLastWanted) return;
    const here = await this.#medium.position();
    this.#head = here;
    if (here === target) return;
    this.#forget();
    if (isNear(here, target, this.#geometry)) {
      await this.#readOn(target - here);
      if ((await this.#medium.position()) === target) {
        this.#head = target;
        return;
      }
    }
    locating();
    await this.#medium.locate(target);
    this.#head = target;
  }

  /** Valid until the read after the next one. */
  async read(): Promise<Buffer | 'filemark' | 'end'> {
    if (this.#isLastWanted && this.#last !== null) {
      this.#isLastWanted = false;
      return this.#last.data;
    }
    const address = this.#head ?? (await this.#medium.position());
    this.#forget();
    const data = await this.#medium.readBlock(this.#buffers[this.#turn]);
    if (typeof data === 'string') return data;
    this.#turn = this.#turn === 0 ? 1 : 0;
    this.#last = { address, data };
    this.#head = address + 1;
    return data;
  }

  /** Until it is known again where the head is. */
  #forget(): void {
    this.#last = null;
    this.#head = null;
  }

  /** What cannot be read there is wanted by nobody: the locate that follows goes over it. */
  async #readOn(blocks: number): Promise<void> {
    try {
      for (let i = 0; i < blocks; i += 1) if ((await this.#medium.readBlock(this.#buffers[this.#turn])) === 'end') return;
    } catch (error) {
      if (['ECANCELED', 'NOT_LOADED'].includes(errorCode(error))) throw error;
    }
  }
}

/** True where `target` is reached sooner by reading on. */
export const isNear = (here: BlockAddress, target: BlockAddress, geometry: Geometry | null): boolean =>
  target >= here && (geometry === null ? target - here <= readThrough : isReadThrough(geometry, here, target));
