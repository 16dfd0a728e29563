/** Values of metrics at one moment. */
import type { Distribution } from './buckets.ts';
import type { MetricName } from './definitions.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  /** The metric's, or that with `_bucket`, `_sum` or `_count`. */
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

/** Gathers the samples of a scrape. */
export class Samples {
  readonly #byName = new Map<MetricName, Sample[]>();

  add(name: MetricName, value: number, labels: Labels = {}): void {
    this.of(name).push({ name, labels, value });
  }

  addDistribution(name: MetricName, { bounds, counts, sum }: Distribution, labels: Labels = {}): void {
    const samples = this.of(name);
    let total = 0;
    counts.forEach((count, index) => {
      total += count;
      const bound = bounds[index];
      samples.push({ name: `${name}_bucket`, labels: { ...labels, le: bound === undefined ? '+Inf' : String(bound) }, value: total });
    });
    samples.push({ name: `${name}_sum`, labels, value: sum }, { name: `${name}_count`, labels, value: total });
  }

  of(name: MetricName): Sample[] {
    let samples = this.#byName.get(name);
    if (samples === undefined) this.#byName.set(name, (samples = []));
    return samples;
  }
}
