import type { Statement } from 'better-sqlite3';
import type { Database } from './database.ts';
import type { Directories } from './directories.ts';
import type { FilesystemRow } from './model.ts';

export class Filesystems {
  readonly #directories: Directories;
  readonly #upsert: Statement<[string, string, string], number>;
  readonly #retire: Statement<[string, string]>;
  readonly #all: Statement<[], FilesystemRow>;

  constructor(db: Database, directories: Directories) {
    this.#directories = directories;
    this.#upsert = db
      .prepare<[string, string, string], number>(
        `INSERT INTO filesystems (uuid, path, type) VALUES (?, ?, ?)
         ON CONFLICT (uuid) DO UPDATE SET path = excluded.path, type = excluded.type RETURNING id`,
      )
      .pluck();
    this.#retire = db.prepare(`UPDATE filesystems SET path = path || '#' || uuid WHERE path = ? AND uuid <> ?`);
    this.#all = db.prepare('SELECT id, path, type, uuid FROM filesystems ORDER BY id');
  }

  /**
   * The same uuid is the same filesystem, wherever it is mounted now. One that was at this path before keeps its files, and is called
   * PATH#UUID from now on: it may be lost, or come back.
   */
  add(row: Omit<FilesystemRow, 'id'>): FilesystemRow {
    this.#retire.run(row.path, row.uuid);
    const id = this.#upsert.get(row.uuid, row.path, row.type) ?? 0;
    this.#directories.addRoot(id);
    return { id, path: row.path, type: row.type, uuid: row.uuid };
  }

  all(): FilesystemRow[] {
    return this.#all.all();
  }
}
