import type { Statement } from 'better-sqlite3';
import type { Database } from './database.ts';
import type { RecallRequestRow, RequestState } from './model.ts';

/** Requests that are remembered after their end. */
const history = 10_000;

type RawRequest = [
  id: number,
  filesystem: number,
  ino: number,
  path: string,
  job: number | null,
  state: RequestState,
  priority: number,
  createdAt: number,
  endedAt: number | null,
  reason: string | null,
];

export type NewRequest = Pick<RecallRequestRow, 'filesystem' | 'ino' | 'path' | 'job' | 'priority'>;
export type RequestEnd = Extract<RequestState, 'failed' | 'done' | 'cancelled'>;

export class RecallRequests {
  readonly #now: () => number;
  readonly #add: Statement<[number, number, string, number | null, number, number]>;
  readonly #prune: Statement<[number]>;
  readonly #end: Statement<[RequestEnd, number, string | null, number]>;
  readonly #open: Statement<[], RawRequest>;

  constructor(db: Database, now: () => number) {
    this.#now = now;
    this.#add = db.prepare(
      `INSERT INTO recall_requests (filesystem, ino, path, job, state, priority, created_at) VALUES (?, ?, ?, ?, 'queued', ?, ?)`,
    );
    this.#prune = db.prepare('DELETE FROM recall_requests WHERE id <= ? AND ended_at IS NOT NULL');
    this.#end = db.prepare('UPDATE recall_requests SET state = ?, ended_at = ?, reason = ? WHERE id = ? AND ended_at IS NULL');
    this.#open = db
      .prepare<[], RawRequest>(
        `SELECT id, filesystem, ino, path, job, state, priority, created_at, ended_at, reason
         FROM recall_requests WHERE ended_at IS NULL ORDER BY id`,
      )
      .raw();
  }

  add(row: NewRequest): number {
    const id = Number(this.#add.run(row.filesystem, row.ino, row.path, row.job, row.priority, this.#now()).lastInsertRowid);
    if (id % 1000 === 0) this.#prune.run(id - history);
    return id;
  }

  /** What has ended stays as it ended first. */
  end(ids: readonly number[], state: RequestEnd, reason: string | null): void {
    const at = this.#now();
    for (const id of ids) this.#end.run(state, at, reason, id);
  }

  /** Oldest first. */
  open(): RecallRequestRow[] {
    return this.#open.all().map(requestRow);
  }
}

const requestRow = ([id, filesystem, ino, path, job, state, priority, createdAt, endedAt, reason]: RawRequest): RecallRequestRow => ({
  id,
  filesystem,
  ino,
  path,
  job,
  state,
  priority,
  createdAt,
  endedAt,
  reason,
});
