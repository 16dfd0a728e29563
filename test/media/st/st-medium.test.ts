import test from 'ava';
import { HsmError } from '../../../src/errors.ts';
import { openStMedium, type StMedium } from '../../../src/media/st/st-medium.ts';
import { fakeReel, FakeTape, type FakeTapeOptions } from '../../fixtures/fake-tape.ts';
import { mediumSuite, type MediumFixture } from '../../suites/medium.ts';

const largestBlock = 16 * 2 ** 20 - 1;

/** A fake drive and two reels. */
async function stFixture(capacity: number, options: FakeTapeOptions): Promise<MediumFixture> {
  let reel = fakeReel(capacity + 4 * 2 ** 20);
  let barcode = 'S00001L9';
  let loaded: StMedium | null = null;
  const load = async (): Promise<StMedium> => {
    await loaded?.detach();
    loaded = await openStMedium(new FakeTape(reel, options), { barcode, capacity: capacity + 64 * 2 ** 20, largestBlock });
    return loaded;
  };
  return {
    medium: await load(),
    fillable: true,
    estimatesUse: true,
    reload: load,
    protect: () => {
      reel.writeProtect = true;
      return load();
    },
    swap: () => {
      reel = fakeReel(capacity);
      barcode = 'S00002L9';
      return load();
    },
    powerCut: (survives) => {
      new FakeTape(reel, options).cut(survives);
      return load();
    },
  };
}

mediumSuite('st drive that tells positions', (_, capacity) => stFixture(capacity, { positions: true }));
mediumSuite('st drive that tells positions, says EIO when full and knows no immediate filemarks', (_, capacity) =>
  stFixture(capacity, { positions: true, immediateMarks: false, fullCode: 'EIO' }),
);
mediumSuite('st drive without positions', (_, capacity) => stFixture(capacity, { positions: false, scrapAtEnd: true }));

test('a drive that is not where it should be after a filemark fails the write', async (t) => {
  const tape = new FakeTape(fakeReel(2 ** 24), { positions: true });
  const medium = await openStMedium(tape, { barcode: 'S00001L9', capacity: 2 ** 24, largestBlock });
  await medium.writeBlock(Buffer.alloc(100));
  // Somebody else wrote a block through another path.
  await tape.write(Buffer.alloc(10));
  await t.throwsAsync(medium.writeFilemark({ sync: true }), { instanceOf: HsmError, code: 'EIO' });
});

test('without positions, a drive whose numbers jump fails instead of being believed', async (t) => {
  const tape = new FakeTape(fakeReel(2 ** 24), { positions: false });
  const medium = await openStMedium(tape, { barcode: 'S00001L9', capacity: 2 ** 24, largestBlock });
  await medium.writeBlock(Buffer.alloc(100));
  await tape.write(Buffer.alloc(10));
  await t.throwsAsync(medium.writeBlock(Buffer.alloc(100)), { instanceOf: HsmError, code: 'EIO' });
  t.is(await medium.position(), 0, 'and rewinds to know where it is');
});

test('a last block that cannot be read is a failure, and not the end of data, wherever the drive stands afterwards', async (t) => {
  for (const passesIt of [false, true]) {
    const tape = new FakeTape(fakeReel(8 * 2 ** 20), { positions: true });
    const medium = await openStMedium(tape, { barcode: 'S00001L9', capacity: 2 ** 30, largestBlock });
    for (let i = 0; i < 3; i += 1) await medium.writeBlock(Buffer.alloc(1000, i));
    await medium.locate(2);
    const read = tape.read.bind(tape);
    tape.read = async (into) => {
      if (passesIt) await read(into);
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    };
    // st puts a filemark behind what was written before it winds: that is taken off.
    tape.reel.objects.length = 3;
    await t.throwsAsync(medium.readBlock(Buffer.alloc(1000)), { instanceOf: HsmError, code: 'EIO' });
    tape.read = read;
    await medium.locate(3);
    t.is(await medium.readBlock(Buffer.alloc(1000)), 'end');
  }
});
