import type { Statement } from 'better-sqlite3';
import type { Database } from './database.ts';
import type { MediaUse, NewUse, UsedKind } from './model.ts';

/** Columns that are added up, and their names in rows. */
const counts = {
  mounts: 'mounts',
  bytes_read: 'bytesRead',
  bytes_written: 'bytesWritten',
  load_errors: 'loadErrors',
  read_errors: 'readErrors',
  write_errors: 'writeErrors',
  soft_read_errors: 'softReadErrors',
  soft_write_errors: 'softWriteErrors',
  motion_ms: 'motionMs',
} as const satisfies Record<string, keyof NewUse>;

const columns = Object.keys(counts);

export class MediaUses {
  readonly #now: () => number;
  readonly #add: Statement<[NewUse]>;
  readonly #report: Statement<[UsedKind, string, string, number]>;
  readonly #all: Statement<[], MediaUse>;

  constructor(db: Database, now: () => number) {
    this.#now = now;
    this.#add = db.prepare(
      `INSERT INTO media_use (kind, name, ${columns.join(', ')}, first_used_at, last_used_at)
       VALUES (@kind, @name, ${Object.values(counts).map((name) => `@${name}`).join(', ')}, @firstUsedAt, @lastUsedAt)
       ON CONFLICT DO UPDATE SET ${columns.map((column) => `${column} = ${column} + excluded.${column}`).join(', ')},
         first_used_at = coalesce(first_used_at, excluded.first_used_at), last_used_at = excluded.last_used_at`,
    );
    this.#report = db.prepare('INSERT INTO media_use (kind, name, report, reported_at) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET report = excluded.report, reported_at = excluded.reported_at');
    this.#all = db.prepare(
      `SELECT kind, name, ${Object.entries(counts).map(([column, name]) => `${column} AS ${name}`).join(', ')},
         first_used_at AS firstUsedAt, last_used_at AS lastUsedAt, report, reported_at AS reportedAt
       FROM media_use ORDER BY kind, name`,
    );
  }

  add(uses: readonly NewUse[]): void {
    for (const use of uses) this.#add.run(use);
  }

  setReport(kind: UsedKind, name: string, report: string): void {
    this.#report.run(kind, name, report, this.#now());
  }

  all(): MediaUse[] {
    return this.#all.all();
  }
}
