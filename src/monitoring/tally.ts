/** What happened since the daemon started, as far as nobody else counts it. Numbers only: the library that prints them is loaded by the first scrape. */
import type { JobKind, JobState } from '../catalog/model.ts';
import type { MediaFailure } from '../library/drive-pool.ts';
import type { Log, RecallEnd } from '../recall/recaller-options.ts';
import { Buckets } from './buckets.ts';

/** Seconds from a disk cache to a night without an operator. */
export const waitBounds: readonly number[] = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400];

/** Whose fault an error is. */
export type Blamed = 'drive' | 'volume' | 'filesystem';

/** Bytes and files of jobs that ended. */
export interface JobTotals {
  files: number;
  bytes: number;
  failed: number;
}

export type LogLevel = 'info' | 'warn' | 'error';

const filesystemErrors = ['ENOSPC', 'EDQUOT', 'EROFS'];

export class Tally {
  /** By outcome: `ok`, or the errno that the readers got. */
  readonly waits = new Map<string, Buckets>();
  /** Answers to the keeper: `allow`, or an errno. */
  readonly answers = new Map<string, number>();
  readonly errors: Record<Blamed, number> = { drive: 0, volume: 0, filesystem: 0 };
  readonly mediaFailures: Record<MediaFailure['operation'], number> = { load: 0, read: 0, write: 0 };
  readonly logged: Record<LogLevel, number> = { info: 0, warn: 0, error: 0 };
  /** By kind and state that they ended in. */
  readonly jobs = new Map<string, { readonly kind: JobKind; readonly state: JobState; count: number }>();
  readonly jobTotals = new Map<JobKind, JobTotals>();
  /** ms since the epoch. */
  readonly jobDoneAt = new Map<JobKind, number>();
  /** By hook and how it ended. */
  readonly hooks = new Map<string, { readonly hook: string; readonly result: string; count: number }>();
  /** ms since the epoch; null: not since the start. */
  catalogueCopiedAt: number | null = null;

  recallEnded({ errno, failure, waitedMs }: Pick<RecallEnd, 'errno' | 'failure' | 'waitedMs'>): void {
    const outcome = errno ?? 'ok';
    for (const ms of waitedMs) {
      const waits = this.waits.get(outcome) ?? new Buckets(waitBounds);
      this.waits.set(outcome, waits);
      waits.add(ms / 1000);
    }
    if (failure !== null && filesystemErrors.includes(failure.code)) this.errors.filesystem += 1;
  }

  answered(count: number, errno: string | null): void {
    const answer = errno ?? 'allow';
    this.answers.set(answer, (this.answers.get(answer) ?? 0) + count);
  }

  jobEnded(kind: JobKind, state: JobState, summary: unknown, now: number): void {
    const key = `${kind} ${state}`;
    const seen = this.jobs.get(key);
    if (seen === undefined) this.jobs.set(key, { kind, state, count: 1 });
    else seen.count += 1;
    if (state === 'done') this.jobDoneAt.set(kind, now);
    const totals = this.jobTotals.get(kind) ?? { files: 0, bytes: 0, failed: 0 };
    this.jobTotals.set(kind, totals);
    const of = (...keys: readonly string[]): number => keys.reduce((sum, each) => sum + numberIn(summary, each), 0);
    totals.files += of('archived', 'recalled', 'checked', 'copied') || of('released');
    totals.bytes += of('bytes');
    totals.failed += of('failed', 'damaged');
  }

  /** `log` with its lines counted. */
  counting(log: Log): Log {
    const counted =
      (level: LogLevel) =>
      (data: object, message: string): void => {
        this.logged[level] += 1;
        log[level](data, message);
      };
    return { info: counted('info'), warn: counted('warn'), error: counted('error') };
  }

  hookEnded(hook: string, result: string): void {
    const key = `${hook} ${result}`;
    const seen = this.hooks.get(key);
    if (seen === undefined) this.hooks.set(key, { hook, result, count: 1 });
    else seen.count += 1;
  }

  /** An event of the event log; `uid` null: nobody asked for it. */
  happened(kind: string, uid: number | null, data: unknown, now: number): void {
    if (kind === 'catalogue-copied') this.catalogueCopiedAt = now;
    else if (kind === 'volume-suspect') this.errors.volume += 1;
    else if (kind === 'drive' && uid === null) this.errors.drive += 1;
    else if (kind === 'media-failure') this.mediaFailures[operationOf(data)] += 1;
  }
}

function numberIn(summary: unknown, key: string): number {
  const value = typeof summary === 'object' && summary !== null ? (summary as Readonly<Record<string, unknown>>)[key] : 0;
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function operationOf(data: unknown): MediaFailure['operation'] {
  const operation = typeof data === 'object' && data !== null && 'operation' in data ? data.operation : null;
  return operation === 'load' || operation === 'write' ? operation : 'read';
}
