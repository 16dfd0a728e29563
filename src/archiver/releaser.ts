/** Turns archived files into stubs, a batch at a time: locks, eviction, catalogue. */
import { getSystemErrorName } from 'node:util';
import type { NewFileState } from '../catalog/model.ts';
import { evictStatus, type EvictItem, type Native } from '../native/index.ts';
import type { ArchiverContext, SkipReason } from './context.ts';
import type { Tally } from './tally.ts';

type ReleaserContext = Pick<ArchiverContext, 'catalog' | 'filesystem' | 'locks'> & { readonly native: Pick<Native, 'evict'> };

/** Files of one batch: long enough to share a commit, short enough that a recall of one of them does not wait for long. */
const batchFiles = 2048;

const skipReasons: Readonly<Record<number, SkipReason>> = {
  [evictStatus.open]: 'open',
  [evictStatus.changed]: 'changed',
  [evictStatus.immutable]: 'immutable',
  [evictStatus.gone]: 'gone',
  [evictStatus.stub]: 'stub',
  [evictStatus.small]: 'small',
};

/**
 * Callers add only files whose copies are durable, verified as configured, and in the catalogue: this is where data leaves the disk.
 * One batch is evicted while the catalogue takes in the one before.
 */
export class Releaser {
  readonly #context: ReleaserContext;
  readonly #tally: Tally;
  readonly #onReleased: (() => void) | undefined;
  #batch: EvictItem[] = [];
  #evicting: Promise<unknown> = Promise.resolve();
  #before: Promise<void> = Promise.resolve();
  #last: Promise<void> = Promise.resolve();

  constructor(context: ReleaserContext, tally: Tally, onReleased?: () => void) {
    this.#context = context;
    this.#tally = tally;
    this.#onReleased = onReleased;
  }

  /** Fails with what an earlier batch failed with. */
  async add(item: EvictItem): Promise<void> {
    this.#batch.push(item);
    if (this.#batch.length >= batchFiles) await this.#start();
  }

  /** Waits until everything added is released or counted. */
  async finish(): Promise<void> {
    if (this.#batch.length > 0) await this.#start();
    await this.#before;
    await this.#last;
  }

  async #start(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    await this.#before;
    this.#before = this.#last;
    this.#last = this.#release(batch);
    // Whoever comes next awaits it; until then it must not count as unhandled.
    this.#last.catch(() => undefined);
  }

  async #release(batch: readonly EvictItem[]): Promise<void> {
    const turn = this.#evicting.catch(() => undefined);
    const { promise: evicted, resolve: done } = Promise.withResolvers<void>();
    this.#evicting = evicted;
    await turn;
    const unlocks: (() => void)[] = [];
    try {
      const items = batch.filter(({ ino, path, size }) => {
        const unlock = this.#context.locks.tryLock(ino);
        // A recall has it, so somebody reads it.
        if (unlock === null) this.#tally.skip('open', () => path, size);
        else unlocks.push(unlock);
        return unlock !== null;
      });
      const { filesystem, native, catalog } = this.#context;
      const { status, ctimeNs } = await native.evict({ groupFd: filesystem.groupFd, mountFd: filesystem.mountFd }, items);
      done();
      const moves: NewFileState[] = [];
      for (const [i, { ino }] of items.entries()) {
        if (status[i] === evictStatus.released) moves.push({ ino, to: 'stub', ctimeNs: ctimeNs[i]! });
      }
      if (moves.length > 0) await catalog.moveFiles(filesystem.row.id, moves);
      this.#count(items, status);
    } finally {
      done();
      for (const unlock of unlocks) unlock();
    }
  }

  #count(items: readonly EvictItem[], status: Int32Array): void {
    for (const [i, { path, size }] of items.entries()) {
      const how = status[i]!;
      const reason = skipReasons[how];
      if (how === evictStatus.released) {
        this.#tally.released += 1;
        this.#tally.releasedBytes += size;
        if (this.#tally.verbose) this.#tally.tell({ path, outcome: 'released', reason: null, size });
      } else if (reason !== undefined) {
        this.#tally.skip(reason, () => path, size);
      } else {
        this.#tally.fail(how < 0 ? getSystemErrorName(how) : `status ${how}`, path, size);
      }
    }
    this.#onReleased?.();
  }
}
