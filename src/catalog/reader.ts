/** Every read of the catalogue: at once, with hsm's errors, and for many keys in slices between which the event loop runs. */
import type { Database } from './database.ts';
import { sqliteError } from './sqlite-error.ts';
import { closedError } from './writer.ts';

export class Reader {
  readonly #db: Database;
  readonly #path: string;
  readonly #sliceRows: number;
  readonly #inOneTransaction: <T>(run: () => T) => T;

  constructor(db: Database, path: string, sliceRows: number) {
    this.#db = db;
    this.#path = path;
    this.#sliceRows = sliceRows;
    this.#inOneTransaction = db.transaction(<T>(run: () => T): T => run()) as <T>(run: () => T) => T;
  }

  async read<T>(run: () => T): Promise<T> {
    if (!this.#db.open) throw closedError(this.#path);
    try {
      return run();
    } catch (error) {
      throw sqliteError(error, this.#path);
    }
  }

  /** The rows of all keys in their order. Each slice is one read transaction, for to begin and end one costs as much as a row. */
  async readSlices<K, R>(keys: readonly K[], get: (slice: readonly K[]) => R[]): Promise<R[]> {
    if (keys.length <= 1) return this.read(() => get(keys));
    const found: R[] = [];
    for (let from = 0; from < keys.length; from += this.#sliceRows) {
      if (from > 0) await turn();
      const slice = keys.slice(from, from + this.#sliceRows);
      for (const row of await this.read(() => this.#inOneTransaction(() => get(slice)))) found.push(row);
    }
    return found;
  }

  /** All pages of a search, one a turn. */
  async readPages<R>(pages: Iterator<R[]>): Promise<R[]> {
    const found: R[] = [];
    for (let page = await this.read(() => pages.next()); page.done !== true; page = await this.read(() => pages.next())) {
      for (const row of page.value) found.push(row);
      await turn();
    }
    return found;
  }
}

/** Lets the event loop run. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
