/** Counts of durations by size: what a Prometheus histogram is made of. */

export interface Distribution {
  /** Upper bounds, ascending. */
  readonly bounds: readonly number[];
  /** How many were up to each bound and above the one before; the last one beyond all. */
  readonly counts: readonly number[];
  readonly sum: number;
}

export class Buckets implements Distribution {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  add(value: number): void {
    const place = this.bounds.findIndex((bound) => value <= bound);
    const index = place < 0 ? this.bounds.length : place;
    this.counts[index] = (this.counts[index] ?? 0) + 1;
    this.sum += value;
  }
}
