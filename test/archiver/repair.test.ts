import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { runVerify } from '../../src/archiver/index.ts';
import { Faults } from '../../src/media/decorators/with-faults.ts';
import { checkInvariants, originalsOf } from '../fixtures/archive-invariants.ts';
import { archiving, type Archiving } from '../fixtures/archiving.ts';
import { damageObject } from '../fixtures/damage.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes } from '../fixtures/random.ts';
import { volumesOf } from '../fixtures/reclaiming.ts';

const root = kernelTest(test);
const options = { pools: ['first', 'second'], containerSize: 2 ** 20, cartridges: 8, capacity: 2 ** 28 };

async function archivedFiles(site: Archiving, count: number): Promise<Map<string, string>> {
  mkdirSync(join(site.mount, 'some'));
  const paths = Array.from({ length: count }, (_, i) => `some/${i}`);
  for (const [i, path] of paths.entries()) {
    writeFileSync(join(site.mount, path), seededBytes(i + 1, 20_000));
    utimesSync(join(site.mount, path), 1_400_000_000, 1_400_000_000);
  }
  const originals = originalsOf(site.mount, paths);
  if ((await site.archive()).failed > 0) throw new Error('files were not archived');
  return originals;
}

root('a damaged copy is replaced from the other pool', async (t) => {
  const site = await archiving(t, 'ext4', options);
  const originals = await archivedFiles(site, 100);
  const [volume] = await volumesOf(site, 'first');
  for (const path of ['some/10', 'some/90']) await damageObject(site, path, volume!);
  const told = await site.verify({ tape: volume! });
  t.like(told, { damaged: 2, repaired: 0 });
  t.is((await site.catalog.volume(volume!))?.state, 'suspect');
  const { damaged, repaired, checked } = await site.verify({ tape: volume!, repair: { endedBefore: 0 } });
  t.deepEqual({ checked, damaged, repaired }, { checked: 100, damaged: 2, repaired: 2 });
  t.deepEqual(await checkInvariants(site, originals, { copies: 2, places: 'any' }), { stubs: 100, resident: 0 });
  t.is((await volumesOf(site, 'first')).length, 2);
  t.like(await site.verify({ tape: volume! }), { checked: 98, damaged: 0 });
});

root('what has no good copy elsewhere stays as it is, and is told', async (t) => {
  const site = await archiving(t, 'ext4', { ...options, pools: ['first'] });
  await archivedFiles(site, 10);
  const [volume] = await volumesOf(site, 'first');
  await damageObject(site, 'some/5', volume!);
  t.like(await site.verify({ tape: volume!, repair: { endedBefore: 0 } }), { damaged: 1, repaired: 0 });
  t.is((await site.catalog.volume(volume!))?.objects, 10);
});

root('a repair whose n-th write or sync fails loses nothing', async (t) => {
  for (const operation of ['write', 'sync', 'read'] as const) {
    for (const nth of [1, 2]) {
      const faults = new Faults();
      const site = await archiving(t, 'ext4', { ...options, faults, sizeMiB: 128 });
      const originals = await archivedFiles(site, 20);
      const [volume] = await volumesOf(site, 'first');
      await damageObject(site, 'some/7', volume!);
      await site.verify({ tape: volume! });
      faults.failNth(operation, nth);
      await site.verify({ tape: volume!, repair: { endedBefore: 0 } }).catch(() => undefined);
      for (const { barcode, state } of await site.catalog.volumes()) if (state === 'suspect' && barcode !== volume) await site.catalog.setVolume(barcode, { state: 'readonly' });
      await site.verify({ tape: volume!, repair: { endedBefore: 0 } });
      t.deepEqual(await checkInvariants(site, originals, { copies: 2, places: 'any' }), { stubs: 20, resident: 0 }, `${operation} ${nth}`);
    }
  }
});

root('the time of the last verification is kept, and decides what is verified by age', async (t) => {
  const site = await archiving(t, 'ext4', { ...options, pools: ['first'] });
  await archivedFiles(site, 100);
  const [volume] = await volumesOf(site, 'first');
  const before = Date.now();
  const of = async () => (await site.catalog.volumeUsage()).find(({ barcode }) => barcode === volume)?.verifiedAt ?? 0;
  const first = await of();
  t.true(first > 0 && first <= before, 'the archive run read it back');
  t.like(await site.verify({ tape: volume!, choice: { notSince: first - 1, sample: null } }), { checked: 0 });
  t.like(await site.verify({ tape: volume!, choice: { notSince: before + 1, sample: null } }), { checked: 100 });
  t.true((await of()) >= before);
  const some = await runVerify(site.context, { tapes: [volume!], choice: { notSince: null, sample: { count: 1 } }, rate: 2 ** 30 }, { progress: () => undefined, damaged: () => undefined, repaired: () => undefined });
  t.true(some.checked < 100);
});
