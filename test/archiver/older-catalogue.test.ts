/** An older copy of the catalogue is put back: what was written since, it does not know, and must not destroy. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { formatTape } from '../../src/daemon/tapes.ts';
import { tapeFiles } from '../../src/media/tape-files.ts';
import { native } from '../../src/native/index.ts';
import { decodeStubRecord, stubXattr } from '../../src/stub.ts';
import { archiving, makeGround, openGround, type Archiving, type ArchivingOptions } from '../fixtures/archiving.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes } from '../fixtures/random.ts';
import { reclaim, volumesOf } from '../fixtures/reclaiming.ts';

const root = kernelTest(test);

function makeFiles(mount: string, folder: string, count: number): void {
  mkdirSync(join(mount, folder));
  for (let i = 0; i < count; i += 1) {
    const path = join(mount, folder, `${i}`);
    writeFileSync(path, seededBytes(i + 1, 5000));
    utimesSync(path, 1_400_000_000, 1_400_000_000);
  }
}

const containersOn = (site: Archiving, barcode: string): Promise<number[]> =>
  site.drives.withVolume(barcode, 'read', 'bulk', async (medium) => {
    const starts: number[] = [];
    for await (const { start } of tapeFiles(medium)) starts.push(start);
    return starts;
  });

/** The site before and after an older catalogue is put back: the copy is taken between the two archive runs. */
async function putBack(t: ExecutionContext, options: ArchivingOptions, first: number): Promise<Archiving> {
  const ground = await makeGround(t, 'ext4', options);
  const database = join(ground.folder, 'state', 'catalogue.db');
  const open = async (use: (site: Archiving) => Promise<void>): Promise<void> => {
    const teardowns: (() => unknown)[] = [];
    const site = await openGround({ teardown: (down) => void teardowns.unshift(down) }, ground, options);
    await use(site);
    for (const down of teardowns) await down();
  };
  await open(async (site) => {
    if (first === 0) return;
    makeFiles(site.mount, 'first', first);
    await site.archive();
  });
  copyFileSync(database, `${database}.older`);
  await open(async (site) => {
    makeFiles(site.mount, 'second', 5);
    t.is((await site.archive()).released, 5);
  });
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${database}${suffix}`, { force: true });
  copyFileSync(`${database}.older`, database);
  return openGround(t, ground, options);
}

root('reclaim keeps a volume that holds containers which the catalogue does not know', async (t) => {
  const site = await putBack(t, { cartridges: 4, pools: ['first', 'second'] }, 5);
  const [volume = ''] = await volumesOf(site, 'second');
  const before = await containersOn(site, volume);
  const { volumes } = await reclaim(site, { barcodes: [volume] });
  t.like(volumes[0], { result: 'failed' });
  t.regex(volumes[0]?.reason ?? '', /the catalogue knows nothing of/);
  t.not((await site.catalog.volume(volume))?.state, 'scratch');
  t.deepEqual((await containersOn(site, volume)).slice(0, before.length), before);
});

root('format destroys a volume that was written under a newer catalogue by --force only', async (t) => {
  const site = await putBack(t, { cartridges: 1 }, 0);
  const [{ barcode } = { barcode: '' }] = await site.catalog.volumes();
  const before = await containersOn(site, barcode);
  t.true(before.length > 0);
  await t.throwsAsync(formatTape(site, barcode, false), { code: 'REFUSED', message: /--force/ });
  t.deepEqual(await containersOn(site, barcode), before);
  await formatTape(site, barcode, true);
  t.deepEqual(await containersOn(site, barcode), []);
});

root('format refuses, with the tape untouched, when objects come while it waits for the drive', async (t) => {
  const site = await archiving(t, 'ext4', { cartridges: 1 });
  makeFiles(site.mount, 'some', 3);
  await site.archive();
  const [{ barcode } = { barcode: '' }] = await site.catalog.volumes();
  const before = await containersOn(site, barcode);
  // As a format sees the volume that was asked for a moment before the objects were added.
  const catalog = { ...site.catalog, volumeUsage: async () => (await site.catalog.volumeUsage()).map((row) => ({ ...row, objects: 0 })) };
  await t.throwsAsync(formatTape({ catalog, drives: site.drives }, barcode, false), { code: 'REFUSED', message: /holds 3 objects/ });
  t.deepEqual(await containersOn(site, barcode), before);
});

root('an object that a stub in a snapshot names outlives its file, its retention and a reclaim', async (t) => {
  const site = await archiving(t, 'btrfs', { cartridges: 4 });
  makeFiles(site.mount, 'some', 4);
  await site.archive();
  execFileSync('btrfs', ['subvolume', 'snapshot', site.mount, join(site.mount, 'snap')], { stdio: 'ignore' });
  const { ino } = statSync(join(site.mount, 'some/0'));
  rmSync(join(site.mount, 'some/0'));
  await site.catalog.dropFiles(site.context.filesystem.row.id, [ino]);
  const barcode = (await site.catalog.volumes()).find(({ objects }) => objects > 0)?.barcode ?? '';
  await reclaim(site, { barcodes: [barcode], endedBefore: Date.now() + 1000 });
  const record = decodeStubRecord(native.getxattr(join(site.mount, 'snap/some/0'), stubXattr) ?? Buffer.alloc(0));
  t.truthy(record);
  t.true(((await site.catalog.object(record!.object))?.copies.length ?? 0) > 0);
});
