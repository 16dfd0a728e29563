import type { Statement } from 'better-sqlite3';
import { HsmError } from '../errors.ts';
import type { Database } from './database.ts';
import { jobMoves, type JobKind, type JobRow, type JobState } from './model.ts';
import { move } from './states.ts';

/** Jobs that are remembered after their end. */
const history = 10_000;

const columns = 'id, kind, state, uid, created_at AS createdAt, started_at AS startedAt, ended_at AS endedAt, spec, summary';

export class Jobs {
  readonly #now: () => number;
  readonly #add: Statement<[JobKind, number, number, string], JobRow>;
  readonly #prune: Statement<[number]>;
  readonly #get: Statement<[number], JobRow>;
  readonly #set: Statement<[JobState, number | null, number | null, string | null, number]>;
  readonly #newest: Statement<[number], JobRow>;

  constructor(db: Database, now: () => number) {
    this.#now = now;
    this.#add = db.prepare(`INSERT INTO jobs (kind, state, uid, created_at, spec) VALUES (?, 'queued', ?, ?, ?) RETURNING ${columns}`);
    this.#prune = db.prepare('DELETE FROM jobs WHERE id <= ? AND ended_at IS NOT NULL');
    this.#get = db.prepare(`SELECT ${columns} FROM jobs WHERE id = ?`);
    this.#set = db.prepare('UPDATE jobs SET state = ?, started_at = ?, ended_at = ?, summary = ? WHERE id = ?');
    this.#newest = db.prepare(`SELECT ${columns} FROM jobs ORDER BY id DESC LIMIT ?`);
  }

  add(kind: JobKind, uid: number, spec: unknown): JobRow {
    const job = this.#add.get(kind, uid, this.#now(), JSON.stringify(spec ?? null));
    if (job === undefined) throw new HsmError('INTERNAL', 'the catalogue gave no row for a new job');
    if (job.id % 100 === 0) this.#prune.run(job.id - history);
    return job;
  }

  /** The state it has already is no move; a summary that is not given stays. */
  set(id: number, state: JobState, summary?: unknown): void {
    const job = this.#get.get(id);
    if (job === undefined) throw new HsmError('ENOENT', `the catalogue has no job ${id}`);
    if (job.state !== state) move(jobMoves, job.state, state, `job ${id}`);
    const startedAt = state === 'running' ? (job.startedAt ?? this.#now()) : job.startedAt;
    const endedAt = jobMoves[state].length === 0 ? (job.endedAt ?? this.#now()) : null;
    this.#set.run(state, startedAt, endedAt, summary === undefined ? job.summary : JSON.stringify(summary), id);
  }

  newest(limit: number): JobRow[] {
    return this.#newest.all(limit);
  }
}
