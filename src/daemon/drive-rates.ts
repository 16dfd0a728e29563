/** How fast data passes through each drive: over the last seconds, from what was counted. */
import type { MediumCounters } from '../media/decorators/with-metrics.ts';

type Passed = Pick<MediumCounters, 'bytesRead' | 'bytesWritten'>;

/** So long a rate looks back, ms. */
const windowMs = 10_000;
/** Rates are told in steps of so many bytes a second: a watcher need not hear of less. */
const step = 100_000;

export class DriveRates {
  readonly #passed: (drive: string) => Passed;
  readonly #now: () => number;
  /** By drive, the oldest first. */
  readonly #samples = new Map<string, { readonly at: number; readonly bytes: number }[]>();

  /** `passed`: what went through a drive since the start. `now`: ms. */
  constructor(passed: (drive: string) => Passed, now: () => number = () => performance.now()) {
    this.#passed = passed;
    this.#now = now;
  }

  /** To be called every second or so. */
  sample(drives: readonly string[]): void {
    for (const drive of drives) {
      const samples = this.#samples.get(drive) ?? [];
      samples.push({ at: this.#now(), bytes: this.#bytes(drive) });
      this.#samples.set(drive, samples.filter(({ at }) => at >= this.#now() - windowMs));
    }
  }

  /** Bytes a second, read and written; null before two samples were taken. */
  of(drive: string): number | null {
    const samples = this.#samples.get(drive) ?? [];
    const [oldest, newest] = [samples[0], samples.at(-1)];
    if (oldest === undefined || newest === undefined || newest.at === oldest.at) return null;
    return Math.round(((newest.bytes - oldest.bytes) * 1000) / (newest.at - oldest.at) / step) * step;
  }

  #bytes(drive: string): number {
    const { bytesRead, bytesWritten } = this.#passed(drive);
    return bytesRead + bytesWritten;
  }
}
