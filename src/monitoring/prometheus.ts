/**
 * The parts of prom-client that are needed: its entry file, and its count of CPU time, load a tracing library, and that takes 8 MB.
 * Its metrics of the event loop would wake an idle daemon a hundred times a second: they are left out.
 */
import Registry from 'prom-client/lib/registry.js';
import memory from 'prom-client/lib/metrics/osMemoryHeap.js';
import heap from 'prom-client/lib/metrics/heapSizeAndUsed.js';
import startTime from 'prom-client/lib/metrics/processStartTime.js';
import openDescriptors from 'prom-client/lib/metrics/processOpenFileDescriptors.js';
import mostDescriptors from 'prom-client/lib/metrics/processMaxFileDescriptors.js';
import type { Registry as PromRegistry } from 'prom-client';
import type { Sample } from './samples.ts';

export interface Source {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: () => readonly Sample[];
}

export function openRegistry(sources: readonly Source[]): PromRegistry {
  const registry = new Registry();
  for (const source of sources) registry.registerMetric(metricOf(source));
  for (const define of [memory, heap, startTime, openDescriptors, mostDescriptors]) define(registry);
  return registry;
}

/** A registry asks its metrics for their values and knows nothing else of them. */
const metricOf = ({ name, type, help, samples }: Source) => ({
  name,
  help,
  type,
  get: async () => ({ name, help, type, aggregator: 'sum', values: samples().map((sample) => ({ metricName: sample.name, labels: sample.labels, value: sample.value })) }),
});
