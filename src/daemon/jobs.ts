/** Jobs: what operators asked for with archive, release, recall and verify. Those that write tape or release run one after the other. */
import type { Catalog, JobKind, JobState } from '../catalog/model.ts';
import { errorCode, HsmError } from '../errors.ts';
import { freeMemory } from './free-memory.ts';
import type { JobKeeper } from './kept-jobs.ts';
import type { Params } from './params.ts';
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
  readonly kind: JobKind;
  readonly cancel: AbortController;
  readonly kept: boolean;
  /** Somebody asked for its end; a stop of the daemon is no such thing. */
  unwanted: boolean;
  progress: Progress | null;
}

type JobCatalog = Pick<Catalog, 'addJob' | 'setJob' | 'jobs' | 'logEvent'>;

/** A daemon that ends so often in the middle of a job does so because of it. */
const mostCrashes = 3;

/** What a job tells while it runs; of one that was taken up again nobody listens. */
type Listener = Pick<Call, 'progress' | 'row'>;
const nobody: Listener = { progress: () => undefined, row: async () => undefined };

export type JobListener = (id: number, kind: JobKind, state: JobState, summary: unknown) => void;

export class Jobs {
  readonly #onEnd: JobListener;
  readonly #catalog: JobCatalog;
  readonly #keeper: JobKeeper | null;
  readonly #running = new Map<number, Running>();
  readonly #all = new Set<Promise<unknown>>();
  #turn: Promise<unknown> = Promise.resolve();
  #stopping = false;

  /** `keeper`: for jobs that are to outlive the daemon. `onEnd`: told of each that ended, with its summary. */
  constructor(catalog: JobCatalog, keeper: JobKeeper | null = null, onEnd: JobListener = () => undefined) {
    this.#catalog = catalog;
    this.#onEnd = onEnd;
    this.#keeper = keeper;
  }

  /**
   * Runs a job for a client. A client that goes away does not end its job; one that asks to cancel does. `kept`: what the next daemon needs to take
   * it up when this one ends before it does.
   */
  async run<T extends object>(kind: JobKind, spec: unknown, call: Call, body: (run: JobRun) => Promise<T>, kept: Params | null = null): Promise<T> {
    if (this.#stopping) throw stopping();
    const { id } = await this.#catalog.addJob(kind, call.peer.uid, spec);
    const outlives = kept !== null && this.#keeper !== null;
    if (outlives) await this.#keep(this.#keeper, id, kept);
    call.job(`j${id}`);
    const running: Running = { kind, cancel: new AbortController(), kept: outlives, unwanted: false, progress: null };
    call.cancelled.addEventListener('abort', () => unwant(running), { once: true });
    if (call.cancelled.aborted) unwant(running);
    return this.#start(id, kind, running, call, body);
  }

  async #keep(keeper: JobKeeper, id: number, params: Params): Promise<void> {
    try {
      await keeper.keep(id, { params, crashes: 0 });
    } catch (error) {
      await this.#catalog.setJob(id, 'failed', { code: errorCode(error), error: (error as Error).message });
      throw error;
    }
  }

  /** Takes up a job that leftovers() told of. Resolves when it has ended, however that was: the catalogue knows. */
  async resume(id: number, kind: JobKind, body: (run: JobRun) => Promise<object>): Promise<void> {
    if (this.#stopping) return;
    const running: Running = { kind, cancel: new AbortController(), kept: true, unwanted: false, progress: null };
    await this.#start(id, kind, running, nobody, body).catch(() => undefined);
  }

  async #start<T extends object>(id: number, kind: JobKind, running: Running, listener: Listener, body: (run: JobRun) => Promise<T>): Promise<T> {
    this.#running.set(id, running);
    const run: JobRun = {
      id,
      signal: running.cancel.signal,
      progress: (progress) => {
        running.progress = progress;
        listener.progress(progress);
      },
      row: (row) => listener.row(row),
    };
    const ended = kind === 'recall' ? this.#body(run, running, body) : (this.#turn = this.#turn.then(() => this.#body(run, running, body)));
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

  /** How many of each kind run or wait for their turn. */
  countRunning(): Map<JobKind, number> {
    const counts = new Map<JobKind, number>();
    for (const { kind } of this.#running.values()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return counts;
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
    if (running !== undefined) unwant(running);
    return running !== undefined;
  }

  /**
   * Of the jobs that a daemon before this one left behind: those that are to be taken up, oldest first; the others have ended, whatever
   * the catalogue says.
   */
  async leftovers(): Promise<{ readonly id: number; readonly kind: JobKind; readonly params: Params }[]> {
    const kept = new Map(this.#keeper?.all());
    const again: { id: number; kind: JobKind; params: Params }[] = [];
    for (const { id, kind, state } of await this.#catalog.jobs(1000)) {
      if (state !== 'queued' && state !== 'running') continue;
      const job = kept.get(id);
      if (job !== undefined && job.crashes < mostCrashes) {
        if (state === 'running') {
          await this.#keeper?.keep(id, { ...job, crashes: job.crashes + 1 });
          await this.#catalog.setJob(id, 'queued');
        }
        kept.delete(id);
        again.unshift({ id, kind, params: job.params });
      } else if (state === 'queued') await this.#catalog.setJob(id, 'cancelled', { error: 'the daemon ended before it started' });
      else await this.#catalog.setJob(id, 'failed', { error: `the daemon ended while it ran${job === undefined ? '' : `, ${job.crashes + 1} times`}; run it again to go on` });
    }
    for (const id of kept.keys()) await this.#keeper?.drop(id);
    return again;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { cancel } of this.#running.values()) cancel.abort();
    await Promise.allSettled(this.#all);
  }

  async #body<T extends object>(run: JobRun, running: Running, body: (run: JobRun) => Promise<T>): Promise<T> {
    if (run.signal.aborted) {
      await this.#end(run.id, running, 'cancelled');
      throw new HsmError('ECANCELED', `job j${run.id} was cancelled before it started`);
    }
    await this.#catalog.setJob(run.id, 'running');
    try {
      const summary = await body(run);
      await this.#end(run.id, running, run.signal.aborted ? 'cancelled' : 'done', summary);
      return summary;
    } catch (error) {
      await this.#end(run.id, running, 'failed', { code: errorCode(error), error: (error as Error).message });
      throw error;
    }
  }

  /** A kept job whose daemon stops has not ended. */
  async #end(id: number, { kept, kind, unwanted }: Running, state: JobState, summary?: unknown): Promise<void> {
    if (kept && this.#stopping && !unwanted && state !== 'done') {
      await this.#catalog.setJob(id, 'queued');
      return;
    }
    await this.#catalog.setJob(id, state, summary);
    this.#onEnd(id, kind, state, summary);
    if (kept) await this.#keeper?.drop(id);
  }
}

function unwant(running: Running): void {
  running.unwanted = true;
  running.cancel.abort();
}

const stopping = (): HsmError => new HsmError('EAGAIN', 'the daemon is stopping: try again when it runs', { retry: 'later' });
