/** Files whose name another file has taken since: a file that was removed and made anew has a row for each of its inodes. */
import type { Database } from './database.ts';

/** Inodes of a filesystem's rows of which a newer object has the same name. Reads all of its files: seconds for a million. */
export function superseded(db: Database, filesystem: number): number[] {
  return db
    .prepare<[number], number>(
      `SELECT ino FROM (
         SELECT f.ino, row_number() OVER (PARTITION BY f.directory, f.name ORDER BY o.id DESC) AS place
         FROM files f JOIN objects o ON o.n = f.object WHERE f.filesystem = CAST(? AS INTEGER)
       ) WHERE place > 1`,
    )
    .pluck()
    .all(filesystem);
}
