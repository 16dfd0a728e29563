/** Objects that are no file's present version any more; only they cost a row here. */
import type { Statement } from 'better-sqlite3';
import type { Database } from './database.ts';
import type { Directories } from './directories.ts';
import type { OldVersionRow } from './model.ts';
import { storedName, type StoredName } from './names.ts';

const slash = 0x2f;

export class OldVersions {
  readonly #now: () => number;
  readonly #add: Statement<[number, number, number, StoredName]>;
  readonly #remove: Statement<[number]>;
  readonly #named: Statement<[number, StoredName], { object: Buffer; size: bigint; mtimeNs: bigint; endedAt: bigint }>;

  readonly #directories: Directories;

  constructor(db: Database, directories: Directories, now: () => number) {
    this.#directories = directories;
    this.#now = now;
    this.#add = db.prepare('INSERT OR REPLACE INTO old_versions (object, ended_at, directory, name) VALUES (?, ?, ?, ?)');
    this.#remove = db.prepare('DELETE FROM old_versions WHERE object = ?');
    this.#named = db
      .prepare<[number, StoredName], { object: Buffer; size: bigint; mtimeNs: bigint; endedAt: bigint }>(
        `SELECT o.id AS object, o.size, o.mtime_ns AS mtimeNs, u.ended_at AS endedAt FROM old_versions u JOIN objects o ON o.n = u.object
         WHERE u.directory = ? AND u.name = ? ORDER BY o.id DESC`,
      )
      .safeIntegers();
  }

  add(was: { readonly object: number; readonly directory: number; readonly name: StoredName }): void {
    this.#add.run(was.object, this.#now(), was.directory, was.name);
  }

  /** Of files that had the name when their version ended, the newest first. */
  named(filesystem: number, path: Buffer): OldVersionRow[] {
    const cut = path.lastIndexOf(slash);
    const directory = this.#directories.find(filesystem, path.subarray(0, Math.max(cut, 0)));
    if (directory === undefined) return [];
    return this.#named
      .all(directory, storedName(path.subarray(cut + 1)))
      .map(({ object, size, mtimeNs, endedAt }) => ({ object, size: Number(size), mtimeNs, endedAt: Number(endedAt) }));
  }

  /** The object is a file's present version again. */
  remove(object: number): void {
    this.#remove.run(object);
  }
}
