/** Counts how files ended and tells the observer, so that no caller counts twice. */
import type { Progress, Summary } from '../daemon/protocol.ts';
import type { FileOutcome, Log, Observer, SkipReason } from './context.ts';

/** Between two progress reports, ms. */
const progressEvery = 100;

export class Tally {
  archived = 0;
  released = 0;
  releasedBytes = 0;
  bytes = 0;
  failed = 0;
  interrupted = false;
  /** Null until the scan has ended. */
  totalFiles: number | null = null;
  totalBytes: number | null = null;
  readonly #skipped: Record<string, number> = {};
  readonly #observer: Observer;
  readonly #log: Log;
  readonly #clock: { now(): number };
  #reportedAt = -Infinity;

  constructor(observer: Observer, log: Log, clock: { now(): number }) {
    this.#observer = observer;
    this.#log = log;
    this.#clock = clock;
  }

  /** False when a path need not be made for outcomes. */
  get verbose(): boolean {
    return this.#observer.file !== undefined;
  }

  /** For callers that tell no paths. */
  skipMany(reason: SkipReason, count: number): void {
    this.#skipped[reason] = (this.#skipped[reason] ?? 0) + count;
  }

  skip(reason: SkipReason, path: () => Buffer, size: number | null = null): void {
    this.skipMany(reason, 1);
    if (this.verbose) this.tell({ path: path(), outcome: 'skipped', reason, size });
  }

  fail(reason: string, path: Buffer, size: number | null = null): void {
    this.failed += 1;
    this.#log.warn({ path: path.toString(), reason }, 'a file was left as it is');
    this.tell({ path, outcome: 'failed', reason, size });
  }

  tell(outcome: FileOutcome): void {
    this.#observer.file?.(outcome);
  }

  /** Reports at most every 100 ms; `last` reports in any case. */
  progress(phase: string, files: number, bytes: number, { last = false, note }: { last?: boolean; note?: string } = {}): void {
    const now = this.#clock.now();
    if (!last && now - this.#reportedAt < progressEvery) return;
    this.#reportedAt = now;
    const progress: Progress = { phase, files, bytes, totalFiles: this.totalFiles, totalBytes: this.totalBytes, ...(note === undefined ? {} : { note }) };
    this.#observer.progress(progress);
  }

  get summary(): Summary {
    return {
      summary: true,
      archived: this.archived,
      released: this.released,
      recalled: 0,
      bytes: this.bytes,
      skipped: { ...this.#skipped },
      failed: this.failed,
      ...(this.interrupted ? { interrupted: true } : {}),
    };
  }
}
