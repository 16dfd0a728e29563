/** Fills blocks from one side and hands them out on the other, as many at a time as there are buffers. */
import { native, type PackedBlock, type PackedMembers } from '../../native/index.ts';

const buffers = 3;

/** Members that are whole once the block is written. */
type Whole = () => PackedMembers;

export class BlockQueue {
  readonly #size: number;
  readonly #free: Buffer[];
  readonly #ready: PackedBlock[] = [];
  #filling: Buffer | null = null;
  #used = 0;
  #closed = false;
  #failure: { readonly error: unknown } | null = null;
  #wake: (() => void)[] = [];

  /** `size`: bytes a block. */
  constructor(size: number) {
    this.#size = size;
    this.#free = Array.from({ length: buffers }, () => native.alignedBuffer(size));
  }

  async append(bytes: Buffer, whole: Whole): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      const block = await this.#block();
      if (block === null) return;
      const part = bytes.copy(block, this.#used, from, from + this.#size - this.#used);
      from += part;
      this.#used += part;
      // A full block waits for what comes next: it may be the news that a member in it is whole.
      if (this.#used === this.#size && from < bytes.length) this.#publish(whole());
    }
  }

  /** No more comes: the last block must be full. */
  async end(whole: Whole): Promise<void> {
    if (this.#filling !== null) this.#publish(whole());
    this.#put({ block: null, members: whole() });
  }

  /** The next block, then one that is null. */
  async next(): Promise<PackedBlock> {
    for (;;) {
      const block = this.#ready.shift();
      if (block !== undefined) return block;
      if (this.#failure !== null) throw this.#failure.error;
      await this.#change();
    }
  }

  release(block: Buffer): void {
    this.#free.push(block);
    this.#changed();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    this.#changed();
  }

  /** Whoever appends goes on without effect. */
  close(): void {
    this.#closed = true;
    this.#changed();
  }

  /** The block at hand, with room in it; null when nobody wants one any more. */
  async #block(): Promise<Buffer | null> {
    while (!this.#closed) {
      this.#filling ??= this.#free.pop() ?? null;
      if (this.#filling !== null) return this.#filling;
      await this.#change();
    }
    return null;
  }

  #publish(members: PackedMembers): void {
    this.#put({ block: this.#filling, members });
    this.#filling = null;
    this.#used = 0;
  }

  #put(block: PackedBlock): void {
    this.#ready.push(block);
    this.#changed();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const each of wake) each();
  }
}
