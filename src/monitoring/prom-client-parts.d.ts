/** prom-client describes its entry file only. */
declare module 'prom-client/lib/registry.js' {
  import type { Registry } from 'prom-client';
  interface AskedMetric {
    readonly name: string;
    readonly help: string;
    readonly type: string;
    get(): Promise<{ readonly name: string; readonly help: string; readonly type: string; readonly values: readonly object[] }>;
  }
  const registry: new () => Omit<Registry, 'registerMetric'> & Registry & { registerMetric(metric: AskedMetric): void };
  export = registry;
}
declare module 'prom-client/lib/metrics/*' {
  import type { Registry } from 'prom-client';
  const define: (registry: Registry) => void;
  export = define;
}
