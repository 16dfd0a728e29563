/**
 * State moves of files whose readers need not wait for them: the record on the inode is what counts. They are written together a little
 * later, since each commit costs an fsync during which the daemon does nothing else.
 */
import type { Catalog, NewFileState } from '../catalog/model.ts';

const mostAtOnce = 2000;
const delayMs = 100;

export class MoveBatch {
  readonly #catalog: Pick<Catalog, 'moveFiles'>;
  readonly #failed: (error: unknown) => void;
  readonly #waiting: { readonly filesystem: number; readonly move: NewFileState }[] = [];
  #running: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(catalog: Pick<Catalog, 'moveFiles'>, failed: (error: unknown) => void) {
    this.#catalog = catalog;
    this.#failed = failed;
  }

  add(filesystem: number, move: NewFileState): void {
    this.#waiting.push({ filesystem, move });
    if (this.#waiting.length >= mostAtOnce) void this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), delayMs);
  }

  /** Resolves when all that was added before is written. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#waiting.length > 0 || this.#running !== null) {
      this.#running ??= this.#run().finally(() => {
        this.#running = null;
      });
      await this.#running;
    }
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const filesystem = this.#waiting[0]?.filesystem ?? 0;
      let end = 0;
      while (end < mostAtOnce && this.#waiting[end]?.filesystem === filesystem) end += 1;
      const moves = this.#waiting.splice(0, end).map(({ move }) => move);
      await this.#write(filesystem, moves);
      await new Promise(setImmediate);
    }
  }

  /** One file whose row does not fit must not keep the others from being written. */
  async #write(filesystem: number, moves: readonly NewFileState[]): Promise<void> {
    try {
      await this.#catalog.moveFiles(filesystem, moves);
    } catch (error) {
      if (moves.length === 1) {
        this.#failed(error);
        return;
      }
      for (const move of moves) await this.#write(filesystem, [move]);
    }
  }
}
