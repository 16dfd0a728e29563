import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { labelVolume } from '../../src/media/containers.ts';
import { catalogueName } from '../../src/media/format.ts';
import type { Medium } from '../../src/media/medium.ts';
import { openStMedium } from '../../src/media/st/st-medium.ts';
import { loadVirtualCartridge } from '../../src/media/virtual-cartridge.ts';
import { surveyVolume } from '../../src/recovery/survey.ts';
import { newCartridge } from '../fixtures/cartridge.ts';
import { fakeReel, FakeTape } from '../fixtures/fake-tape.ts';
import { collect, inputOf, newPacker, pack } from '../fixtures/pack.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const mib = 2 ** 20;
const capacity = 64 * mib;

const media: Readonly<Record<string, (t: ExecutionContext) => Promise<Medium>>> = {
  'a virtual cartridge': async (t) => {
    const cartridge = await loadVirtualCartridge(await newCartridge(t, capacity, 'S00001L9'));
    t.teardown(() => cartridge.abandon());
    return cartridge;
  },
  'a drive that tells positions': () => openStMedium(new FakeTape(fakeReel(capacity), { positions: true }), { barcode: 'S00001L9', capacity, largestBlock: mib }),
  'a drive that does not': () => openStMedium(new FakeTape(fakeReel(capacity), { positions: false, scrapAtEnd: true }), { barcode: 'S00001L9', capacity, largestBlock: mib }),
};

for (const [what, load] of Object.entries(media)) {
  test(`${what} tells its containers, its use and its newest dump`, async (t) => {
    const medium = await load(t);
    t.like(await surveyVolume(medium), { kind: 'blank', files: [], dump: null, problem: null });
    const root = await temporaryFolder(t);
    writeFileSync(join(root, 'file'), 'x'.repeat(1_500_000));
    const packer = newPacker(t, root);
    const dumpOf = async (date: Date): Promise<Buffer> => {
      packer.begin();
      packer.pushFile(catalogueName(date), join(root, 'file'));
      packer.end();
      return (await collect(packer)).container;
    };
    const containers = [await dumpOf(new Date('2026-01-02T03:04:05Z')), await dumpOf(new Date('2026-02-02T03:04:05Z')), (await pack(packer, [inputOf(root, ['file'])])).container];
    await labelVolume(medium);
    for (const container of containers) {
      for (let at = 0; at < container.length; at += mib) await medium.writeBlock(container.subarray(at, at + mib));
      await medium.writeFilemark({ sync: true });
    }
    const { kind, files, dump, used, problem } = await surveyVolume(medium);
    t.deepEqual([kind, problem], ['hsm', null]);
    t.deepEqual(
      files.map(({ start, blocks, ended }) => [start, blocks, ended]),
      [
        [3, 2, true],
        [6, 2, true],
        [9, 2, true],
      ],
    );
    t.is(dump?.name, '.hsm/catalogue-20260202T030405Z.db');
    t.true(used > 6 * mib);
  });
}
