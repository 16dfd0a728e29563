/** Keeps the catalogue's work out of the way of blocks that wait to be written: both need the one thread that runs JavaScript. */

export class Pace {
  #pumping = 0;
  #idle = false;
  readonly #waiting: (() => void)[] = [];

  /** Runs `pump`; until it ends, turns are given only while it waits for its next block. */
  async during<T>(pump: () => Promise<T>): Promise<T> {
    this.#pumping += 1;
    this.#idle = false;
    try {
      return await pump();
    } finally {
      this.#pumping -= 1;
      if (this.#pumping === 0) this.#wakeAll();
    }
  }

  /** The pump's wait for a block: when it takes longer than a turn of the event loop, one of those who wait may go. */
  async wait<T>(block: Promise<T>): Promise<T> {
    const timer = setImmediate(() => {
      this.#idle = true;
      this.#waiting.shift()?.();
    });
    try {
      return await block;
    } finally {
      clearImmediate(timer);
      this.#idle = false;
    }
  }

  /** Resolves when a piece of work of some ten milliseconds keeps no block waiting. */
  async turn(): Promise<void> {
    if (this.#pumping === 0 || this.#idle) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #wakeAll(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
