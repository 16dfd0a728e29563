import test from 'ava';
import { locateSeconds, lposRange, physicalPosition, rewindSeconds, tapeModel, tapeModels } from '../../src/library/timing.ts';
import type { PhysicalPosition } from '../../src/library/timing.ts';
import { seededRandom } from '../fixtures/random.ts';

const { lto8, lto9 } = tapeModels;
const at = (wrap: number, lpos: number): PhysicalPosition => ({ wrap, lpos });

test('wraps run forth and back, from the first byte to the last', (t) => {
  const capacity = 280_000;
  t.deepEqual(physicalPosition(lto9, capacity, 0), at(0, lposRange.first));
  t.deepEqual(physicalPosition(lto9, capacity, 500), at(0, 86_897));
  t.deepEqual(physicalPosition(lto9, capacity, 999), at(0, 170_929));
  t.deepEqual(physicalPosition(lto9, capacity, 1000), at(1, lposRange.last));
  t.deepEqual(physicalPosition(lto9, capacity, 1999), at(1, 2864));
  t.deepEqual(physicalPosition(lto9, capacity, 2000), at(2, lposRange.first));
  t.deepEqual(physicalPosition(lto9, capacity, capacity), at(279, lposRange.first));
});

const locate = test.macro({
  exec: (t, from: PhysicalPosition, to: PhysicalPosition, seconds: number) => {
    t.true(Math.abs(locateSeconds(lto9, from, to) - seconds) < 1e-9, String(locateSeconds(lto9, from, to)));
  },
  title: (what) => `a locate ${what} takes the published time`,
});

test('ahead on its wrap', locate, at(0, 10_000), at(0, 20_000), 4.29 + 6.192);
test('back on its wrap', locate, at(0, 20_000), at(0, 10_000), 4.29 + 11.32 + 6.192);
test('ahead on a reverse wrap', locate, at(1, 20_000), at(1, 10_000), 4.29 + 6.192);
test('back on a reverse wrap', locate, at(1, 10_000), at(1, 20_000), 4.29 + 11.32 + 6.192);
test('to the next wrap', locate, at(0, 20_000), at(1, 20_000), 4.29 + 6.69 + 5.22);
test('to another wrap of the same direction', locate, at(0, 20_000), at(2, 30_000), 4.29 + 6.69 + 6.192);
test('to another band', locate, at(68, 20_000), at(70, 20_000), 4.29 + 6.69 + 3.2);
test('into the other half', locate, at(0, 80_000), at(0, 90_000), 4.29 - 6.04 + 6.192);
test('to itself', locate, at(5, 5000), at(5, 5000), 4.29);

test('no locate takes less than nothing', (t) => {
  t.is(locateSeconds(lto9, at(0, 86_896), at(0, 86_897)), 0);
});

test('averages are those that vendors publish', (t) => {
  const random = seededRandom(1);
  for (const [model, locateAverage, rewindAverage] of [[lto8, 59, 59], [lto9, 65, 62]] as const) {
    let located = 0;
    let rewound = 0;
    for (let n = 0; n < 20_000; n += 1) {
      const somewhere = physicalPosition(model, 1e12, random() * 1e12);
      located += locateSeconds(model, physicalPosition(model, 1e12, 0), somewhere) / 20_000;
      rewound += rewindSeconds(model, somewhere) / 20_000;
    }
    t.true(Math.abs(located / locateAverage - 1) < 0.15, `locate ${located}`);
    t.true(Math.abs(rewound / rewindAverage - 1) < 0.02, `rewind ${rewound}`);
  }
});

test('timing none has no model', (t) => {
  t.is(tapeModel('none'), null);
  t.is(tapeModel('lto8'), lto8);
});
