/** Requests that may not go to their volume yet, by what they wait for. */
import type { RecallRequest } from './requests.ts';

interface Place {
  readonly key: string;
  readonly reason: string;
}

export class Parking {
  readonly #places = new Map<RecallRequest, Place>();
  readonly #byKey = new Map<string, Set<RecallRequest>>();

  /** `key`: what it waits for. `reason`: the same for people. */
  park(request: RecallRequest, key: string, reason: string): void {
    this.leave(request);
    this.#places.set(request, { key, reason });
    const group = this.#byKey.get(key);
    if (group === undefined) this.#byKey.set(key, new Set([request]));
    else group.add(request);
  }

  /** False when it was not here. */
  leave(request: RecallRequest): boolean {
    const place = this.#places.get(request);
    if (place === undefined) return false;
    this.#places.delete(request);
    const group = this.#byKey.get(place.key);
    group?.delete(request);
    if (group?.size === 0) this.#byKey.delete(place.key);
    return true;
  }

  /** Takes the first `most` that wait for `key` out, in the order in which they came. */
  take(key: string, most = Infinity): RecallRequest[] {
    const taken: RecallRequest[] = [];
    for (const request of this.#byKey.get(key) ?? []) {
      if (taken.length >= most) break;
      taken.push(request);
    }
    for (const request of taken) this.leave(request);
    return taken;
  }

  reasonOf(request: RecallRequest): string | null {
    return this.#places.get(request)?.reason ?? null;
  }

  get size(): number {
    return this.#places.size;
  }

  [Symbol.iterator](): Iterator<RecallRequest> {
    return this.#places.keys();
  }
}
