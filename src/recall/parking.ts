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
    // Who waits for the same thing still keeps his turn.
    if (!this.isParked(request, key)) this.leave(request);
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

  /** All that wait for `key`, in the order in which they came. They may leave meanwhile. */
  of(key: string): Iterable<RecallRequest> {
    return this.#byKey.get(key) ?? [];
  }

  reasonOf(request: RecallRequest): string | null {
    return this.#places.get(request)?.reason ?? null;
  }

  get size(): number {
    return this.#places.size;
  }

  get keys(): string[] {
    return [...this.#byKey.keys()];
  }

  isParked(request: RecallRequest, key: string): boolean {
    return this.#places.get(request)?.key === key;
  }

  [Symbol.iterator](): Iterator<RecallRequest> {
    return this.#places.keys();
  }
}
