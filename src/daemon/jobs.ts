/** Jobs: what operators asked for with archive, release, recall and verify. Those that write tape or release run one after the other. */
import type { Catalog, JobKind, JobState } from '../catalog/model.ts';
import { errorCode, HsmError } from '../errors.ts';
import { freeMemory } from './free-memory.ts';
import type { Call } from './server.ts';
import type { Progress } from './protocol.ts';

/** One line of `hsm jobs --json`. */
export interface JobLine {
  readonly id: string;
  readonly kind: JobKind;
  readonly state: JobState;
  readonly uid: number;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly progress: Progress | null;
  readonly spec: unknown;
  readonly summary: unknown;
}

export interface JobRun {
  readonly id: number;
  /** Aborted by `hsm cancel`, ^C of the client, or the daemon's stop: finish the step at hand. */
  readonly signal: AbortSignal;
  progress(progress: Progress): void;
  row(row: unknown): Promise<void>;
}

interface Running {
  readonly cancel: AbortController;
  progress: Progress | null;
}

type JobCatalog = Pick<Catalog, 'addJob' | 'setJob' | 'jobs' | 'logEvent'>;

export class Jobs {
  readonly #catalog: JobCatalog;
  readonly #running = new Map<number, Running>();
  readonly #all = new Set<Promise<unknown>>();
  #turn: Promise<unknown> = Promise.resolve();
  #stopping = false;

  constructor(catalog: JobCatalog) {
    this.#catalog = catalog;
  }

  /** Runs a job for a client. A client that goes away does not end its job; one that asks to cancel does. */
  async run<T extends object>(kind: JobKind, spec: unknown, call: Call, body: (run: JobRun) => Promise<T>): Promise<T> {
    if (this.#stopping) throw stopping();
    const { id } = await this.#catalog.addJob(kind, call.peer.uid, spec);
    call.job(`j${id}`);
    const running: Running = { cancel: new AbortController(), progress: null };
    call.cancelled.addEventListener('abort', () => running.cancel.abort(), { once: true });
    if (call.cancelled.aborted) running.cancel.abort();
    this.#running.set(id, running);
    const run: JobRun = {
      id,
      signal: running.cancel.signal,
      progress: (progress) => {
        running.progress = progress;
        call.progress(progress);
      },
      row: (row) => call.row(row),
    };
    const ended = kind === 'recall' ? this.#body(run, body) : (this.#turn = this.#turn.then(() => this.#body(run, body)));
    this.#turn = this.#turn.catch(() => undefined);
    this.#all.add(ended);
    try {
      return (await ended) as T;
    } finally {
      this.#all.delete(ended);
      this.#running.delete(id);
      if (this.#running.size === 0 && !this.#stopping) void freeMemory();
    }
  }

  /** Those that run or wait for their turn. */
  running(): string[] {
    return [...this.#running.keys()].map((id) => `j${id}`);
  }

  async lines(limit: number): Promise<JobLine[]> {
    const rows = await this.#catalog.jobs(limit);
    return rows.map((row) => ({
      id: `j${row.id}`,
      kind: row.kind,
      state: row.state,
      uid: row.uid,
      createdAt: new Date(row.createdAt).toISOString(),
      startedAt: row.startedAt === null ? null : new Date(row.startedAt).toISOString(),
      endedAt: row.endedAt === null ? null : new Date(row.endedAt).toISOString(),
      progress: this.#running.get(row.id)?.progress ?? null,
      spec: JSON.parse(row.spec) as unknown,
      summary: row.summary === null ? null : (JSON.parse(row.summary) as unknown),
    }));
  }

  /** False when no such job runs. */
  cancel(id: number): boolean {
    const running = this.#running.get(id);
    running?.cancel.abort();
    return running !== undefined;
  }

  /** Jobs that a daemon before this one left behind have ended, whatever the catalogue says. */
  async closeLeftovers(): Promise<void> {
    for (const row of await this.#catalog.jobs(1000)) {
      if (row.state === 'queued') await this.#catalog.setJob(row.id, 'cancelled', { error: 'the daemon ended before it started' });
      if (row.state === 'running') await this.#catalog.setJob(row.id, 'failed', { error: 'the daemon ended while it ran; run it again to go on' });
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { cancel } of this.#running.values()) cancel.abort();
    await Promise.allSettled(this.#all);
  }

  async #body<T extends object>(run: JobRun, body: (run: JobRun) => Promise<T>): Promise<T> {
    if (run.signal.aborted) {
      await this.#catalog.setJob(run.id, 'cancelled');
      throw new HsmError('ECANCELED', `job j${run.id} was cancelled before it started`);
    }
    await this.#catalog.setJob(run.id, 'running');
    try {
      const summary = await body(run);
      await this.#catalog.setJob(run.id, run.signal.aborted ? 'cancelled' : 'done', summary);
      return summary;
    } catch (error) {
      await this.#catalog.setJob(run.id, 'failed', { code: errorCode(error), error: (error as Error).message });
      throw error;
    }
  }
}

const stopping = (): HsmError => new HsmError('EAGAIN', 'the daemon is stopping: try again when it runs', { retry: 'later' });
