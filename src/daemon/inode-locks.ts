/** One filesystem's inode locks: eviction and recall never touch an inode at the same time. */

/** Gives the lock back; calling it again does nothing. */
export type Unlock = () => void;

/** Locks of one filesystem, keyed by inode number. Fair: waiters get the lock in the order they came. */
export class InodeLocks {
  /** Waiters of every locked inode, the holder not counted; null while nobody waits. */
  readonly #held = new Map<number, (() => void)[] | null>();

  /** Inodes locked now. */
  get size(): number {
    return this.#held.size;
  }

  /** The lock, or null when somebody has it. */
  tryLock(ino: number): Unlock | null {
    if (this.#held.has(ino)) return null;
    this.#held.set(ino, null);
    return this.#unlockOnce(ino);
  }

  /** Waits for the lock without a limit. */
  async lock(ino: number): Promise<Unlock> {
    const free = this.tryLock(ino);
    if (free !== null) return free;
    await new Promise<void>((resolve) => {
      const waiters = this.#held.get(ino);
      if (waiters == null) this.#held.set(ino, [resolve]);
      else waiters.push(resolve);
    });
    return this.#unlockOnce(ino);
  }

  #unlockOnce(ino: number): Unlock {
    let locked = true;
    return () => {
      if (!locked) return;
      locked = false;
      this.#handOver(ino);
    };
  }

  #handOver(ino: number): void {
    const next = this.#held.get(ino)?.shift();
    if (next === undefined) this.#held.delete(ino);
    else next();
  }
}
