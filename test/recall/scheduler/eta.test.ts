import test from 'ava';
import { requestAt, scatter, type SimulatedRequest } from '../../../bench/scheduler/requests.ts';
import { SimulatedLibrary, type Served } from '../../../bench/scheduler/simulated-library.ts';
import { seededRandom } from '../../fixtures/random.ts';

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Infinity;
const errors = (served: readonly Served[]): number[] => served.map(({ wait, foretold }) => Math.abs((foretold ?? Infinity) - wait) / wait);

/** One after the other, over `volumes` tapes. */
function requests(count: number, volumes: number, gapS: number, seed: number): SimulatedRequest[] {
  const random = seededRandom(seed);
  return scatter('uniform', count, random).map((block, i) => requestAt(`V0000${i % volumes}L9`, block, 100e6, 1000 * gapS * i, `u${i % 3}`));
}

test('what a waiter is foretold is off by less than a quarter in the median', (t) => {
  const served = new SimulatedLibrary({ drives: 2 }).run(requests(400, 6, 40, 1));
  t.is(served.length, 400);
  const off = median(errors(served));
  t.true(off < 0.25, String(off));
});

test('drives that are slower than their model are found out', (t) => {
  const served = new SimulatedLibrary({ drives: 2, reality: () => 1.5 }).run(requests(400, 6, 60, 2));
  const off = median(errors(served.slice(200)));
  t.true(off < 0.25, String(off));
});

test('where nothing more comes the last ones are foretold better', (t) => {
  const served = new SimulatedLibrary({ drives: 2 }).run(requests(300, 5, 0, 3));
  const last = served.filter(({ request }) => request.id > Math.max(...served.map((each) => each.request.id)) - 50);
  t.is(last.length, 50);
  t.true(median(errors(last)) < 0.2, String(median(errors(last))));
});

test('no eta is foretold for what waits for no drive or is held', (t) => {
  const library = new SimulatedLibrary({ drives: 2 });
  const { scheduler } = library;
  scheduler.pauses.set({ kind: 'volume', name: 'A' }, null, 0);
  const [held, free] = [requestAt('A', 5, 100, 0), requestAt('B', 5, 100, 0)];
  scheduler.add('A', held, false);
  scheduler.add('B', free, false).entry.queue.placed(0, { model: { rate: 4e8 } as never, position: () => ({ wrap: 0, lpos: 3000 }) });
  t.deepEqual([...scheduler.etas({ drives: 2, loaded: [] }).keys()], [free]);
});
