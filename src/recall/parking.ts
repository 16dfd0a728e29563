/** Requests that may not go to their volume yet, by what they wait for. */
import type { RecallRequest } from './requests.ts';

interface Place {
  readonly keys: ReadonlySet<string>;
  readonly reason: string;
}

export class Parking {
  readonly #places = new Map<RecallRequest, Place>();
  readonly #byKey = new Map<string, Set<RecallRequest>>();

  /** `keys`: what it waits for, any of which may let it go on. `reason`: the same for people. */
  park(request: RecallRequest, keys: Iterable<string>, reason: string): void {
    const before = this.#places.get(request)?.keys ?? new Set<string>();
    const place: Place = { keys: new Set(keys), reason };
    // Who waits for the same thing still keeps his turn.
    for (const key of before) if (!place.keys.has(key)) this.#leaveKey(request, key);
    this.#places.set(request, place);
    for (const key of place.keys) {
      const group = this.#byKey.get(key);
      if (group === undefined) this.#byKey.set(key, new Set([request]));
      else group.add(request);
    }
  }

  /** These may let it go on, too. */
  waitsAlsoFor(request: RecallRequest, keys: readonly string[]): void {
    const place = this.#places.get(request);
    if (place !== undefined && keys.some((key) => !place.keys.has(key))) this.park(request, [...place.keys, ...keys], place.reason);
  }

  leave(request: RecallRequest): void {
    const place = this.#places.get(request);
    if (place === undefined) return;
    this.#places.delete(request);
    for (const key of place.keys) this.#leaveKey(request, key);
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
    return this.#places.get(request)?.keys.has(key) === true;
  }

  [Symbol.iterator](): Iterator<RecallRequest> {
    return this.#places.keys();
  }

  #leaveKey(request: RecallRequest, key: string): void {
    const group = this.#byKey.get(key);
    group?.delete(request);
    if (group?.size === 0) this.#byKey.delete(key);
  }
}
