import test from 'ava';
import { labelVolume } from '../../src/media/containers.ts';
import { decorate } from '../../src/media/decorators/decorate.ts';
import type { Medium } from '../../src/media/medium.ts';
import { tapeFiles, type TapeFile } from '../../src/media/tape-files.ts';
import { loadVirtualCartridge } from '../../src/media/virtual-cartridge.ts';
import { newCartridge } from '../fixtures/cartridge.ts';

async function written(t: Parameters<typeof newCartridge>[0], blocks: readonly number[], lastFilemark = true): Promise<Medium> {
  const medium = await loadVirtualCartridge(await newCartridge(t, 2 ** 24));
  t.teardown(() => medium.abandon());
  await labelVolume(medium);
  for (const [i, count] of blocks.entries()) {
    for (let block = 0; block < count; block += 1) await medium.writeBlock(Buffer.alloc(1000 + block));
    if (i < blocks.length - 1 || lastFilemark) await medium.writeFilemark({ sync: true });
  }
  return medium;
}

/** Moves the tape between files, as whoever reads them does. */
async function all(medium: Medium, from?: number): Promise<TapeFile[]> {
  const found: TapeFile[] = [];
  for await (const file of tapeFiles(medium, from)) {
    found.push(file);
    await medium.rewind();
  }
  return found;
}

const reading = (medium: Medium): Medium => {
  const slow: Partial<Medium> = { ...decorate(medium, {}) };
  delete slow.spaceFilemark;
  return slow as Medium;
};

for (const [how, view] of [['spacing', (medium: Medium) => medium], ['reading', reading]] as const) {
  test(`by ${how}, tape files are found with their lengths`, async (t) => {
    const medium = view(await written(t, [3, 1, 0, 2]));
    t.deepEqual(await all(medium), [
      { start: 3, blocks: 3, ended: true },
      { start: 7, blocks: 1, ended: true },
      { start: 10, blocks: 2, ended: true },
    ]);
    t.deepEqual(await all(medium, 7), [
      { start: 7, blocks: 1, ended: true },
      { start: 10, blocks: 2, ended: true },
    ]);
    t.deepEqual(await all(medium, 13), []);
  });

  test(`by ${how}, data without a filemark at its end is told apart`, async (t) => {
    t.deepEqual(await all(view(await written(t, [1, 2], false))), [
      { start: 3, blocks: 1, ended: true },
      { start: 5, blocks: 2, ended: false },
    ]);
    t.deepEqual(await all(view(await written(t, []))), []);
  });
}
