/** Objects that are no file's present version any more; only they cost a row here. */
import type { Statement } from 'better-sqlite3';
import type { Database } from './database.ts';
import type { StoredName } from './names.ts';

export class OldVersions {
  readonly #now: () => number;
  readonly #add: Statement<[number, number, number, StoredName]>;
  readonly #remove: Statement<[number]>;

  constructor(db: Database, now: () => number) {
    this.#now = now;
    this.#add = db.prepare('INSERT OR REPLACE INTO old_versions (object, ended_at, directory, name) VALUES (?, ?, ?, ?)');
    this.#remove = db.prepare('DELETE FROM old_versions WHERE object = ?');
  }

  add(was: { readonly object: number; readonly directory: number; readonly name: StoredName }): void {
    this.#add.run(was.object, this.#now(), was.directory, was.name);
  }

  /** The object is a file's present version again. */
  remove(object: number): void {
    this.#remove.run(object);
  }
}
