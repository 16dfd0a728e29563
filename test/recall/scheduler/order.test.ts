import test from 'ava';
import { physicalPosition, tapeModels } from '../../../src/library/timing.ts';
import { planOrder, replan } from '../../../src/recall/scheduler/order.ts';
import { coalesce, Travel, type Geometry, type Stretch } from '../../../src/recall/scheduler/travel.ts';
import { seededRandom } from '../../fixtures/random.ts';

const model = tapeModels.lto9;
const capacity = 18e12;
const blocks = Math.floor(capacity / 2 ** 20);
const geometry: Geometry = { model, position: (block) => physicalPosition(model, capacity, block * 2 ** 20) };
/** Blocks of a whole wrap. */
const wrap = blocks / model.wraps;
const gb = Math.round(1e9 / 2 ** 20);

function scattered(count: number, seed: number): Stretch[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const first = Math.floor(random() * (blocks - 200));
    return { first, last: first + 99 };
  });
}

const indexes = (stretches: readonly Stretch[]): number[] => stretches.map((_, index) => index);
const byBlock = (stretches: readonly Stretch[]): number[] => indexes(stretches).sort((a, b) => stretches[a]!.first - stretches[b]!.first);

const saves = test.macro({
  exec: (t, count: number, share: number) => {
    let [fifo, sorted, ours] = [0, 0, 0];
    for (let seed = 1; seed <= 20; seed += 1) {
      const stretches = scattered(count, seed);
      const travel = new Travel(stretches, 0, geometry);
      const plan = planOrder(stretches, 0, geometry);
      t.deepEqual([...plan].sort((a, b) => a - b), indexes(stretches), 'each once');
      t.true(travel.total(plan) <= travel.total(byBlock(stretches)) + 1e-9, `seed ${seed}: never worse than sorted`);
      fifo += travel.total(indexes(stretches));
      sorted += travel.total(byBlock(stretches));
      ours += travel.total(plan);
    }
    t.true(ours <= share * fifo, `${ours} of ${fifo} s, sorted ${sorted}`);
  },
  title: (_, count: number, share: number) => `${count} scattered requests take at most ${share} of the locate time of their order of arrival`,
});

test(saves, 8, 0.6);
test(saves, 32, 0.4);
test(saves, 128, 0.33);
test(saves, 512, 0.3);

test('a few thousand are planned, and many thousand are too', (t) => {
  for (const count of [2000, 6000]) {
    const stretches = scattered(count, 1);
    const travel = new Travel(stretches, 0, geometry);
    t.true(travel.total(planOrder(stretches, 0, geometry)) <= travel.total(byBlock(stretches)) + 1e-9);
  }
});

test('without a geometry the order is that of the blocks', (t) => {
  const stretches = [{ first: 900, last: 901 }, { first: 5, last: 6 }, { first: 70, last: 80 }];
  t.deepEqual(planOrder(stretches, 0, null), [1, 2, 0]);
});

test('gaps of a wrap that the tape passes sooner than it locates over them are read through', (t) => {
  const stretches = [{ first: 10 * gb, last: 10 * gb }, { first: 0, last: 0 }, { first: 4 * gb, last: 4 * gb }, { first: 30 * gb, last: 30 * gb }];
  t.deepEqual(coalesce(stretches, geometry, 0), [[1, 2], [0], [3]]);
});

test('what overlaps is one run', (t) => {
  t.deepEqual(coalesce([{ first: 0, last: 50 * gb }, { first: gb, last: 2 * gb }, { first: 52 * gb, last: 53 * gb }], geometry, 0), [[0, 1, 2]]);
});

test('what lies on the way of a reverse wrap is read in the direction of the tape', (t) => {
  const [near, far] = [{ first: Math.round(wrap * 1.2), last: Math.round(wrap * 1.2) + 1 }, { first: Math.round(wrap * 1.8), last: Math.round(wrap * 1.8) + 1 }];
  t.deepEqual(planOrder([far, near], Math.round(wrap * 1.1), geometry), [1, 0]);
});

test('few newcomers are put into the plan where they fit', (t) => {
  const stretches = scattered(200, 7);
  const newcomers = scattered(4, 8);
  const planned = planOrder(stretches, 0, geometry).map((index) => stretches[index]!);
  const plan = replan(planned, newcomers, 0, geometry);
  t.is(plan.length, 204);
  t.deepEqual(plan.filter((each) => !newcomers.includes(each)), planned);
  const cost = (all: readonly Stretch[]): number => new Travel(all, 0, geometry).total(indexes(all));
  t.true(cost(plan) < cost([...planned, ...newcomers]));
  t.true(cost(plan) <= 1.3 * cost(planOrder(plan, 0, geometry).map((index) => plan[index]!)));
});

test('many newcomers are a reason to plan anew', (t) => {
  const [planned, newcomers] = [scattered(20, 1), scattered(20, 2)];
  const all = [...planned, ...newcomers];
  t.deepEqual(replan(planned, newcomers, 0, geometry), planOrder(all, 0, geometry).map((index) => all[index]!));
});
