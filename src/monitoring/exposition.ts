/** The text that Prometheus reads. prom-client, and what it needs, is loaded by the first scrape: a daemon that nobody watches stays as small as it was. */
import type { Registry } from 'prom-client';
import { definitions, type MetricName } from './definitions.ts';
import { type Sample, Samples } from './samples.ts';

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** Scrapes that come within this time of each other, ms, are given the same values. */
const freshMs = 500;
const names = Object.keys(definitions) as readonly MetricName[];

export class Exposition {
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';
  readonly #collect: (samples: Samples) => Promise<void>;
  #registry: Promise<Registry> | null = null;
  #samples = new Samples();
  #last: { readonly at: number; readonly text: Promise<string> } | null = null;

  /** `collect` adds the values of all metrics but `hsm_scrape_duration_seconds`. */
  constructor(collect: (samples: Samples) => Promise<void>) {
    this.#collect = collect;
  }

  /** Text format 0.0.4. However many ask, values are gathered once at a time. */
  text(): Promise<string> {
    const now = performance.now();
    if (this.#last !== null && now - this.#last.at < freshMs) return this.#last.text;
    const before = this.#last?.text.catch(() => undefined);
    const text = Promise.resolve(before).then(() => this.#scrape());
    this.#last = { at: now, text };
    text.catch(() => (this.#last = null));
    return text;
  }

  async families(): Promise<Family[]> {
    await this.text();
    const metrics = await (await this.#registry!).getMetricsAsJSON();
    return metrics.map(({ name, type, help, values }) => ({ name, type: String(type), help, samples: values.map((value) => sampleOf(name, value)) }));
  }

  async #scrape(): Promise<string> {
    const begin = performance.now();
    const samples = new Samples();
    await this.#collect(samples);
    samples.add('hsm_scrape_duration_seconds', (performance.now() - begin) / 1000);
    this.#samples = samples;
    this.#registry ??= this.#load();
    return (await this.#registry).metrics();
  }

  async #load(): Promise<Registry> {
    const { openRegistry } = await import('./prometheus.ts');
    return openRegistry(names.map((name) => ({ name, type: definitions[name].type, help: definitions[name].help, samples: () => this.#samples.of(name) })));
  }
}

function sampleOf(name: string, value: { readonly labels: object; readonly value: number }): Sample {
  const labels = Object.fromEntries(Object.entries(value.labels).map(([key, each]) => [key, String(each)]));
  return { name: 'metricName' in value && typeof value.metricName === 'string' ? value.metricName : name, labels, value: value.value };
}
