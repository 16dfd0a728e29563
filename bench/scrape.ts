/** What a scrape costs the daemon's JavaScript thread with a long queue: counting the requests, and printing all. Goal: some ms. usage: node bench/scrape.ts [REQUESTS] */
import { addQueue } from '../src/daemon/metrics.ts';
import { Exposition } from '../src/monitoring/exposition.ts';
import { queueDepths } from '../src/recall/queue-depths.ts';

type Requests = Parameters<typeof queueDepths>[0];

const count = Number(process.argv[2] ?? 10_000);
const requests = Array.from({ length: count }, (_, n) => ({ copies: [], createdAt: n, record: { volume: `V${n % 200}`, size: 1e6 }, state: 'queued', waiters: new Map([[n, null]]) })) as unknown as Requests;
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const counting: number[] = [];
const scrapes: number[] = [];
for (let round = 0; round < 51; round += 1) {
  const exposition = new Exposition(async (samples) => {
    const begin = performance.now();
    addQueue(queueDepths(requests, 0), Date.now(), samples);
    counting.push(performance.now() - begin);
  });
  const begin = performance.now();
  await exposition.text();
  scrapes.push(performance.now() - begin);
}
console.log(`${count} requests on 200 volumes: ${median(counting).toFixed(1)} ms to count them, ${median(scrapes).toFixed(1)} ms for the whole scrape; the first one, which loads prom-client, ${scrapes[0]?.toFixed(0)} ms`);
