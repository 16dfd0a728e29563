/** Pushes the files of one container into the packer while its blocks are already being written. */
import type { Packer } from '../native/index.ts';
import { PushedFiles } from './members.ts';
import type { FileQueue } from './queue.ts';

export interface FeedLimits {
  /** Bytes after which a container is ended. */
  readonly containerSize: number;
  /** Files after which it is ended, so that what is kept of them in memory is bounded. */
  readonly containerFiles: number;
}

/** The files of one container under way. */
export class Feed {
  readonly pushed = new PushedFiles();
  /** One large file, or many small ones. */
  readonly large: boolean;
  /** What ended it early; what was pushed until then is good. */
  error: Error | null = null;
  readonly #queue: FileQueue;
  readonly #packer: Packer;
  readonly #ended: Promise<void>;
  #cancelled = false;

  /** Starts the next container, or resolves with null when nothing is left. `stopped` ends it early, between two pushes. */
  static async start(queue: FileQueue, packer: Packer, limits: FeedLimits, stopped: () => boolean): Promise<Feed | null> {
    const kind = stopped() ? null : await queue.peek();
    if (kind === null) return null;
    queue.nextContainer();
    packer.begin();
    return new Feed(queue, packer, kind === 'large' ? null : limits, stopped);
  }

  private constructor(queue: FileQueue, packer: Packer, limits: FeedLimits | null, stopped: () => boolean) {
    this.large = limits === null;
    this.#queue = queue;
    this.#packer = packer;
    this.#ended = this.#run(limits, stopped);
  }

  /** Drops what the packer has of it. All of `pushed` can be put back then. */
  async cancel(): Promise<void> {
    this.#cancelled = true;
    await Promise.all([this.#packer.abort(), this.#ended]);
  }

  async #run(limits: FeedLimits | null, stopped: () => boolean): Promise<void> {
    try {
      if (limits === null) this.#fillLarge();
      else await this.#fillSmall(limits, stopped);
    } catch (error) {
      this.error = error instanceof Error ? error : new Error(String(error));
    }
    if (!this.#cancelled) this.#packer.end();
  }

  #fillLarge(): void {
    const file = this.#queue.takeLarge();
    if (file === null) return;
    this.pushed.push(file);
    this.#packer.push(file);
  }

  async #fillSmall({ containerSize, containerFiles }: FeedLimits, stopped: () => boolean): Promise<void> {
    let room = containerSize;
    while (this.pushed.count < containerFiles && !stopped()) {
      const files = await this.#queue.takeSmall(room, containerFiles - this.pushed.count);
      if (files === null) return;
      room -= files.weight;
      this.pushed.push(files);
      if (this.#cancelled) return;
      this.#packer.push(files);
    }
  }
}
