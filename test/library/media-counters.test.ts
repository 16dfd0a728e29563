import test, { type ExecutionContext } from 'ava';
import type { MediaUse, NewUse } from '../../src/catalog/model.ts';
import { DrivePool, type MediaFailure } from '../../src/library/drive-pool.ts';
import { MediaCounters } from '../../src/library/media-counters.ts';
import { createVirtualLibrary, openVirtualLibrary } from '../../src/library/virtual-library.ts';
import { labelVolume } from '../../src/media/containers.ts';
import { withFaults, Faults } from '../../src/media/decorators/with-faults.ts';
import type { Medium } from '../../src/media/medium.ts';
import { temporaryCatalog, temporaryFolder } from '../fixtures/catalogue.ts';
import { join } from 'node:path';

const block = Buffer.alloc(1000, 7);

async function site(t: ExecutionContext, faults = new Faults()) {
  const { catalog } = temporaryCatalog(t);
  const dir = join(temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 1, cartridges: 2, capacity: 2 ** 24 });
  const library = await openVirtualLibrary(dir);
  t.teardown(() => library.close());
  const counters = new MediaCounters(catalog, (drive) => `SN-${drive}`);
  const pool = await DrivePool.open(library, {
    onMount: (medium, drive) => counters.mounted(withFaults(medium, faults), drive),
    onFailure: (failure) => counters.failed(failure),
  });
  const use = (barcode: string, action: (medium: Medium) => Promise<unknown>): Promise<unknown> => pool.withVolume(barcode, 'write', 'bulk', action);
  const rows = async (): Promise<Map<string, MediaUse>> => new Map((await catalog.mediaUse()).map((each) => [`${each.kind} ${each.name}`, each]));
  return { catalog, counters, use, rows };
}

test('mounts and bytes are counted for the drive, by its serial, and for the volume; a volume that stays loaded is one mount', async (t) => {
  const { counters, use, rows } = await site(t);
  await use('V00001L9', async (medium) => {
    await labelVolume(medium);
    await medium.locateEnd();
    await medium.writeBlock(block);
  });
  await counters.flush();
  const written = (await rows()).get('volume V00001L9')?.bytesWritten ?? 0;
  t.true(written > 1000);
  await use('V00001L9', async (medium) => {
    await medium.rewind();
    await medium.readBlock(Buffer.alloc(2 ** 20));
  });
  await use('V00002L9', (medium) => medium.writeBlock(block));
  await counters.flush();
  const found = await rows();
  t.like(found.get('volume V00001L9'), { mounts: 1, bytesWritten: written, readErrors: 0, writeErrors: 0 });
  t.true((found.get('volume V00001L9')?.bytesRead ?? 0) > 0);
  t.like(found.get('volume V00002L9'), { mounts: 1, bytesRead: 0, bytesWritten: 1000 });
  t.like(found.get('drive SN-drive0'), { mounts: 2, bytesWritten: written + 1000, bytesRead: found.get('volume V00001L9')?.bytesRead ?? -1 });
  t.is(found.size, 3);
});

test('what failed is counted once a mount, for both, with what was being done', async (t) => {
  const { counters, use, rows } = await site(t, new Faults().failNth('write', 2).failNth('write', 3));
  await t.throwsAsync(use('V00001L9', async (medium) => {
    await medium.writeBlock(block);
    await medium.writeBlock(block).catch(() => undefined);
    await medium.writeBlock(block);
  }));
  await counters.flush();
  for (const name of ['volume V00001L9', 'drive SN-drive0']) t.like((await rows()).get(name), { mounts: 1, writeErrors: 1, readErrors: 0, loadErrors: 0, bytesWritten: 1000 });
});

test('counts of several flushes and of several daemons add up; the first and the last use are kept', async (t) => {
  const { catalog, rows } = await site(t);
  const failure: MediaFailure = { drive: 'd', volume: 'V', operation: 'load', code: 'EIO', message: 'jammed' };
  for (const at of [1000, 2000, 3000]) {
    const counters = new MediaCounters(catalog, undefined, () => at);
    counters.failed(failure);
    await counters.flush();
    await counters.flush();
  }
  for (const name of ['drive d', 'volume V']) t.like((await rows()).get(name), { loadErrors: 3, mounts: 0, firstUsedAt: 1000, lastUsedAt: 3000 });
});

test('what a catalogue does not take now is written later, and counted once', async (t) => {
  const taken: NewUse[] = [];
  let isFull = true;
  const counters = new MediaCounters({
    addUse: async (uses) => {
      await Promise.resolve();
      if (isFull) throw new Error('full');
      taken.push(...uses);
    },
  });
  counters.failed({ drive: 'd', volume: 'V', operation: 'read', code: 'EIO', message: '' });
  const flushed = counters.flush();
  counters.cleaned('CLN001L1');
  counters.failed({ drive: 'd', volume: 'V', operation: 'read', code: 'EIO', message: '' });
  await t.throwsAsync(flushed, { message: 'full' });
  isFull = false;
  await counters.flush();
  t.deepEqual(taken.map(({ kind, name, readErrors, mounts }) => [kind, name, readErrors, mounts]).sort(), [
    ['cleaning', 'CLN001L1', 0, 1],
    ['drive', 'd', 2, 0],
    ['volume', 'V', 2, 0],
  ]);
});
