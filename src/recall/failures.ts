/** Recalls that failed lately, for operators and for another try. */
import { type QueueRow, rowOf } from './queue-rows.ts';
import type { RecallerOptions } from './recaller-options.ts';
import type { RecallFailure, RecallRequest } from './requests.ts';

export type FailuresOptions = Pick<RecallerOptions, 'catalog' | 'filesystems' | 'log'>;

const failedKept = 100;
const failedKeptMs = 600_000;

export interface FailedRequest {
  readonly row: QueueRow;
  readonly filesystem: number;
  /** Below the filesystem's root. */
  readonly relPath: Buffer | null;
  readonly at: number;
}

/** The last hundred that failed within ten minutes. */
export class Failures {
  readonly #options: FailuresOptions;
  readonly #failed: FailedRequest[] = [];

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  /** `record`: also in the log and the catalogue. */
  add(request: RecallRequest, failure: RecallFailure, record: boolean): void {
    const row: QueueRow = { ...rowOf(request, null, null, null), state: 'failed', done: 0, reason: failure.message };
    this.#failed.push({ row, filesystem: request.filesystem, relPath: request.interests[0]?.relPath ?? null, at: Date.now() });
    if (this.#failed.length > failedKept) this.#failed.shift();
    if (record) this.#record(request, failure);
  }

  find(id: string): FailedRequest | undefined {
    return this.#failed.find(({ row }) => row.id === id);
  }

  /** It is tried again. */
  delete(failed: FailedRequest): void {
    const index = this.#failed.indexOf(failed);
    if (index >= 0) this.#failed.splice(index, 1);
  }

  get rows(): QueueRow[] {
    const since = Date.now() - failedKeptMs;
    return this.#failed.filter(({ at }) => at >= since).map(({ row }) => row);
  }

  #record(request: RecallRequest, failure: RecallFailure): void {
    const { catalog, filesystems, log } = this.#options;
    log.warn({ path: request.path, code: failure.code, reason: failure.message, waiters: request.waiters.size }, 'a recall failed');
    const filesystem = filesystems[request.filesystem]?.id;
    if (filesystem === undefined || request.waiters.size === 0) return;
    const kept = { filesystem, ino: request.ino, path: request.path, job: request.interests[0]?.job ?? null, priority: request.priority };
    catalog
      .addRecallRequest(kept)
      .then((id) => catalog.endRecallRequests([id], 'failed', failure.message))
      .catch((error: unknown) => log.error({ error }, 'a failed recall was not recorded'));
  }
}
