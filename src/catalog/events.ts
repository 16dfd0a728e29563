import type { Statement } from 'better-sqlite3';
import type { Database } from './database.ts';
import type { EventRow } from './model.ts';

export class Events {
  readonly #now: () => number;
  readonly #keep: number;
  readonly #add: Statement<[number, string, number | null, string]>;
  readonly #prune: Statement<[number]>;
  readonly #last: Statement<[string], EventRow>;
  readonly #newest: Statement<[number], EventRow>;

  /** The log holds the newest `keep` events. */
  constructor(db: Database, now: () => number, keep: number) {
    this.#now = now;
    this.#keep = keep;
    this.#add = db.prepare('INSERT INTO events (at, kind, uid, data) VALUES (?, ?, ?, ?)');
    this.#prune = db.prepare('DELETE FROM events WHERE id <= ?');
    this.#newest = db.prepare('SELECT id, at, kind, uid, data FROM events ORDER BY id DESC LIMIT ?');
    this.#last = db.prepare('SELECT id, at, kind, uid, data FROM events WHERE kind = ? ORDER BY id DESC LIMIT 1');
  }

  add(kind: string, uid: number | null, data: unknown): void {
    const { lastInsertRowid } = this.#add.run(this.#now(), kind, uid, JSON.stringify(data ?? null));
    this.#prune.run(Number(lastInsertRowid) - this.#keep);
  }

  last(kind: string): EventRow | undefined {
    return this.#last.get(kind);
  }

  newest(limit: number): EventRow[] {
    return this.#newest.all(limit);
  }
}
