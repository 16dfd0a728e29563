/** What is queued on one volume, and which part of it comes next. */
import { tapeOrder, type RecallRequest } from './requests.ts';

export class VolumeQueue {
  readonly #requests = new Set<RecallRequest>();
  /** Last in the array is next on tape; null after something was added. */
  #plan: RecallRequest[] | null = null;
  /** Set while a drive is waited for at a bulk job's priority; ends that wait. */
  waiting: AbortController | null = null;
  running = false;
  /** No drive could be had, and none of these has a copy elsewhere: they wait until one is up. */
  patient = false;

  get size(): number {
    return this.#requests.size;
  }

  add(request: RecallRequest): void {
    this.#requests.add(request);
    this.#plan = null;
  }

  delete(request: RecallRequest): void {
    this.#requests.delete(request);
  }

  /** All of it, in the order of the tape. */
  inOrder(): RecallRequest[] {
    return this.#ordered()
      .filter((request) => this.#requests.has(request))
      .reverse();
  }

  hasWaiters(): boolean {
    for (const { waiters } of this.#requests) if (waiters.size > 0) return true;
    return false;
  }

  /** Takes up to `limit` requests of one container: first what somebody waits for, else what lies next on the tape. */
  take(limit: number): RecallRequest[] {
    const waited = [...this.#requests].filter(({ waiters }) => waiters.size > 0).sort(tapeOrder);
    const taken = waited.length > 0 ? sameContainer(waited, limit) : this.#takePlanned(limit);
    for (const request of taken) this.#requests.delete(request);
    return taken;
  }

  #takePlanned(limit: number): RecallRequest[] {
    const plan = this.#ordered();
    const taken: RecallRequest[] = [];
    for (let next = plan.at(-1); next !== undefined && taken.length < limit; next = plan.at(-1)) {
      if (this.#requests.has(next)) {
        if (taken.length > 0 && containerOf(next) !== containerOf(taken[0])) break;
        taken.push(next);
      }
      plan.pop();
    }
    return taken;
  }

  #ordered(): RecallRequest[] {
    this.#plan ??= [...this.#requests].sort((a, b) => tapeOrder(b, a));
    return this.#plan;
  }
}

const containerOf = (request: RecallRequest | undefined): number | undefined => request?.copies[0]?.startBlock;

function sameContainer(ordered: readonly RecallRequest[], limit: number): RecallRequest[] {
  const first = containerOf(ordered[0]);
  return ordered.filter((request) => containerOf(request) === first).slice(0, limit);
}
