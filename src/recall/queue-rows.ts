/** Recall requests as operators see them: those under way, and those that failed lately. */
import type { RecallRequest } from './requests.ts';

/** One line of `hsm queue --json`. */
export interface QueueRow {
  readonly id: string;
  readonly path: string;
  readonly state: string;
  readonly volume: string | null;
  readonly container: number | null;
  readonly size: number;
  readonly done: number;
  /** 1 is next on its volume; null while it is being restored or has failed. */
  readonly position: number | null;
  /** Seconds, when there is a measured rate to tell from. */
  readonly eta: number | null;
  /** Seconds since it was asked for. */
  readonly age: number;
  /** The same as a point in time, ISO 8601. */
  readonly askedAt: string;
  readonly priority: number;
  readonly reason: string | null;
  readonly waiters: readonly { readonly pid: number; readonly uid: number; readonly exe: string }[];
}

const failedKept = 100;
const failedKeptMs = 600_000;

/** How fast files came back so far. */
export class RestoreRate {
  bytes = 0;
  seconds = 0;

  /** Seconds; null until something was measured. */
  secondsFor(bytes: number): number | null {
    return this.bytes > 0 && this.seconds > 0 && bytes < Infinity ? Math.ceil(bytes / (this.bytes / this.seconds)) : null;
  }
}

/** `bytesAhead`: to be restored until this one is back; Infinity: nobody can tell. */
export function rowOf(request: RecallRequest, volume: string | null, position: number | null, bytesAhead: number, rate: RestoreRate): QueueRow {
  const copy = request.copies[0];
  return {
    id: `r${request.id}`,
    path: request.path,
    state: request.state,
    volume: volume ?? copy?.volume ?? request.record.volume,
    container: copy?.container ?? request.record.container,
    size: request.record.size,
    done: request.done,
    position,
    eta: rate.secondsFor(Math.max(bytesAhead, request.record.size - request.done)),
    age: Math.floor((Date.now() - request.createdAt) / 1000),
    askedAt: new Date(request.createdAt).toISOString(),
    priority: request.priority,
    reason: request.reason,
    waiters: [...request.waiters.values()].map(({ pid, uid, exe }) => ({ pid, uid, exe })),
  };
}

/** The last hundred that failed within ten minutes. */
export class FailedRows {
  readonly #failed: { readonly row: QueueRow; readonly at: number }[] = [];

  add(row: QueueRow): void {
    this.#failed.push({ row, at: Date.now() });
    if (this.#failed.length > failedKept) this.#failed.shift();
  }

  get rows(): QueueRow[] {
    const since = Date.now() - failedKeptMs;
    return this.#failed.filter(({ at }) => at >= since).map(({ row }) => row);
  }
}
