import test from 'ava';
import type { ContainerState } from '../../src/catalog/model.ts';
import { chooseContainers } from '../../src/archiver/verify-choice.ts';
import { seededRandom } from '../fixtures/random.ts';

const container = (number: number, verifiedAt: number | null, state: ContainerState = 'closed') => ({ number, state, verifiedAt });

test('what holds nothing for good is not read', (t) => {
  const all = [container(1, null, 'void'), container(2, null, 'writing'), container(3, null, 'truncated'), container(4, 5)];
  t.deepEqual(chooseContainers(all, { notSince: null, sample: null }).map(({ number }) => number), [3, 4]);
});

test('by age: what was never verified, or not since', (t) => {
  const all = [container(1, null), container(2, 999), container(3, 1000), container(4, 2000)];
  t.deepEqual(chooseContainers(all, { notSince: 1000, sample: null }).map(({ number }) => number), [1, 2]);
});

test('a sample is as large as wanted, in order, never empty, and any container may be in it', (t) => {
  const all = Array.from({ length: 40 }, (_, i) => container(i, null));
  const seen = new Set<number>();
  const random = seededRandom(3);
  for (let round = 0; round < 300; round += 1) {
    const some = chooseContainers(all, { notSince: null, sample: { part: 0.05 } }, random).map(({ number }) => number);
    t.is(some.length, 2);
    t.deepEqual(some, some.toSorted((a, b) => a - b));
    for (const each of some) seen.add(each);
  }
  t.is(seen.size, 40);
  t.is(chooseContainers(all, { notSince: null, sample: { part: 0.0001 } }).length, 1);
  t.is(chooseContainers(all, { notSince: null, sample: { count: 7 } }).length, 7);
  t.is(chooseContainers(all, { notSince: null, sample: { count: 700 } }).length, 40);
  t.is(chooseContainers([], { notSince: null, sample: { part: 0.5 } }).length, 0);
});
