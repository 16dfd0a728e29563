/** Every write to the catalogue: in order, in durable transactions that a burst of callers shares. */
import type { Statement } from 'better-sqlite3';
import { HsmError } from '../errors.ts';
import type { Database } from './database.ts';
import { endsTransaction, sqliteError } from './sqlite-error.ts';

interface Operation {
  readonly run: () => unknown;
  /** Wants a transaction of its own: to undo it alone, SQLite would have to keep every page that it changes. */
  readonly alone: boolean;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A commit costs an fsync, during which nothing else runs here: a transaction takes more operations until this many ms have passed. */
const budgetMs = 15;

/** Slices of more rows than this get a transaction of their own. */
const smallSlice = 100;

/**
 * Small operations queued in one turn of the event loop are committed together, each within a savepoint: one that fails undoes itself
 * and none of its neighbours. A promise resolves only after the commit that made its operation durable.
 */
export class Writer {
  readonly #db: Database;
  readonly #path: string;
  readonly #onRollback: () => void;
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #savepoint: Statement;
  readonly #release: Statement;
  readonly #undo: Statement;
  #queue: Operation[] = [];
  #scheduled = false;
  #closed = false;

  /** `onRollback` is called after anything was undone: what was remembered from inside a transaction may be untrue. */
  constructor(db: Database, path: string, onRollback: () => void) {
    this.#db = db;
    this.#path = path;
    this.#onRollback = onRollback;
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
    this.#savepoint = db.prepare('SAVEPOINT operation');
    this.#release = db.prepare('RELEASE operation');
    this.#undo = db.prepare('ROLLBACK TO operation');
  }

  /** `run` is called once, synchronously, inside a transaction; it must touch nothing but the database. */
  write<T>(run: () => T): Promise<T> {
    return this.#enqueue(run, false);
  }

  /** Slices [from, to) of `count` rows, each atomic; others write in between. Stops at the first slice that fails. */
  async writeSlices(count: number, sliceRows: number, run: (from: number, to: number) => void): Promise<void> {
    for (let from = 0; from < count; from += sliceRows) {
      const to = Math.min(count, from + sliceRows);
      await this.#enqueue(() => run(from, to), to - from > smallSlice);
    }
  }

  /** Commits what is queued; later writes fail. */
  close(): void {
    this.#closed = true;
    while (this.#queue.length > 0) this.#flush();
  }

  #enqueue<T>(run: () => T, alone: boolean): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) return reject(closedError(this.#path));
      this.#queue.push({ run, alone, resolve: resolve as (value: unknown) => void, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#queue.length > 0) this.#flush();
      if (this.#queue.length > 0) this.#schedule();
    });
  }

  #flush(): void {
    const queue = this.#queue;
    const taken: Operation[] = [];
    const settlements: (() => void)[] = [];
    try {
      this.#begin.run();
      for (const operation of nextTransaction(queue)) {
        taken.push(operation);
        settlements.push(operation.alone || queue.length === 1 ? settled(operation, operation.run()) : this.#attempt(operation));
      }
      this.#commit.run();
    } catch (error) {
      this.#rollback(error);
      const failure = sqliteError(error, this.#path);
      const failed = taken.length === 0 ? queue : taken;
      this.#queue = queue.slice(failed.length);
      for (const operation of failed) operation.reject(failure);
      return;
    }
    this.#queue = queue.slice(taken.length);
    for (const settle of settlements) settle();
  }

  #attempt(operation: Operation): () => void {
    this.#savepoint.run();
    try {
      const value = operation.run();
      this.#release.run();
      return settled(operation, value);
    } catch (error) {
      if (endsTransaction(error) || !this.#db.inTransaction) throw error;
      this.#undo.run();
      this.#release.run();
      this.#onRollback();
      return () => operation.reject(sqliteError(error, this.#path));
    }
  }

  /** On a full disk a checkpoint lets the log start over within the space that it has. */
  #rollback(error: unknown): void {
    if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
    this.#onRollback();
    if (!(error instanceof Error && 'code' in error && error.code === 'SQLITE_FULL')) return;
    try {
      this.#db.pragma('wal_checkpoint(PASSIVE)');
    } catch {
      // The caller hears of the full disk from the write that failed.
    }
  }
}

/** One operation that wants to be alone, or small ones while the budget lasts. */
function* nextTransaction(queue: readonly Operation[]): Generator<Operation> {
  const started = performance.now();
  for (const [i, operation] of queue.entries()) {
    if (i > 0 && (operation.alone || queue[0]?.alone === true || performance.now() - started > budgetMs)) return;
    yield operation;
  }
}

const settled = (operation: Operation, value: unknown) => (): void => operation.resolve(value);

export const closedError = (path: string): HsmError => new HsmError('CLOSED', `catalogue ${path}: is closed`, { path });
