import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { describeContainer, firstContainerAddress, readLabel } from '../../src/media/containers.ts';
import { tapeBlockSize } from '../../src/media/format.ts';
import { native } from '../../src/native/index.ts';
import { decodeStubRecord, stubXattr } from '../../src/stub.ts';
import { checkInvariants, originalsOf } from '../fixtures/archive-invariants.ts';
import { archiving, type Archiving } from '../fixtures/archiving.ts';
import { damageObject } from '../fixtures/damage.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes } from '../fixtures/random.ts';
import { reclaim, volumesOf } from '../fixtures/reclaiming.ts';

const root = kernelTest(test);
const options = { pools: ['first', 'second'], containerSize: 2 ** 20, cartridges: 8, capacity: 2 ** 28 };

function makeFiles(mount: string, folder: string, count: number, size: (i: number) => number): string[] {
  mkdirSync(join(mount, folder));
  return Array.from({ length: count }, (_, i) => {
    const path = `${folder}/${i}`;
    writeFileSync(join(mount, path), seededBytes(i + 1, size(i)));
    utimesSync(join(mount, path), 1_400_000_000, 1_400_000_000);
    return path;
  });
}

/** Removes files as a user would, and tells the catalogue as reconcile would. */
async function remove(site: Archiving, paths: readonly string[]): Promise<void> {
  const inos = paths.map((path) => statSync(join(site.mount, path)).ino);
  for (const path of paths) rmSync(join(site.mount, path));
  await site.catalog.dropFiles(site.context.filesystem.row.id, inos);
}

root('what is needed goes to another volume of the pool, and the volume is written from its beginning again', async (t) => {
  const site = await archiving(t, 'ext4', options);
  const paths = makeFiles(site.mount, 'some', 200, (i) => 1 + ((i * 7919) % 60_000));
  const [large] = makeFiles(site.mount, 'large', 1, () => 3_500_000);
  writeFileSync(Buffer.from(join(site.mount, 'some/\xff\xfe'), 'latin1'), 'a name that is not UTF-8');
  linkSync(join(site.mount, 'some/3'), join(site.mount, 'some/3-again'));
  writeFileSync(join(site.mount, 'some/sparse'), seededBytes(5, 100_000));
  truncateSync(join(site.mount, 'some/sparse'), 900_000);
  const originals = originalsOf(site.mount, [...paths, large!, 'some/\xff\xfe', 'some/sparse']);
  t.is((await site.archive()).failed, 0);
  const [volume] = await volumesOf(site, 'first');
  const label = await site.drives.withVolume(volume!, 'read', 'bulk', readLabel);
  await remove(site, paths.filter((_, i) => i % 3 === 0).filter((path) => path !== 'some/3'));
  for (const path of paths.filter((_, i) => i % 3 === 0 && i !== 3)) originals.delete(path);

  const { summary, volumes, failures } = await reclaim(site, { barcodes: [volume!], endedBefore: Date.now() + 1000 });
  t.deepEqual(failures, []);
  t.like(volumes[0], { barcode: volume!, result: 'scratch', pool: 'first' });
  t.is(summary.copied, originals.size);
  t.is(summary.stubs, originals.size, 'every stub named the volume');
  t.like(await site.catalog.volume(volume!), { state: 'scratch', objects: 0, live: 0, used: 0, endBlock: firstContainerAddress });
  t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: originals.size, resident: 0 });

  // Nothing was written yet, so the old label is there; the next writer gives it a new one.
  t.deepEqual(await site.drives.withVolume(volume!, 'read', 'bulk', readLabel), label);
  for (const each of await volumesOf(site, 'first')) await site.catalog.setVolume(each, { state: 'readonly' });
  for (const { barcode, state, objects } of await site.catalog.volumes()) {
    if (state === 'scratch' && objects === 0 && barcode !== volume) await site.catalog.setVolume(barcode, barcode < volume! ? { state: 'failed' } : { pool: 'second' });
  }
  const more = makeFiles(site.mount, 'more', 20, () => 10_000);
  for (const [path, hash] of originalsOf(site.mount, more)) originals.set(path, hash);
  t.is((await site.archive()).failed, 0);
  t.deepEqual(await volumesOf(site, 'first'), [volume!, ...(await volumesOf(site, 'first')).filter((each) => each !== volume)]);
  t.true((await site.catalog.volume(volume!))!.objects >= 20);
  const again = await site.drives.withVolume(volume!, 'read', 'bulk', readLabel);
  t.true(again !== null && again !== 'blank' && label !== null && label !== 'blank' && again.serial !== label.serial);
  t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: originals.size, resident: 0 });
});

root('a container that was put together has an index, further names of its files, and is what tar reads', async (t) => {
  const site = await archiving(t, 'ext4', { ...options, pools: ['first'], containerSize: 2 ** 24 });
  const paths = makeFiles(site.mount, 'some', 30, (i) => 1000 + i * 512);
  linkSync(join(site.mount, 'some/4'), join(site.mount, 'some/4-again'));
  t.is((await site.archive()).failed, 0);
  await remove(site, ['some/5', 'some/6', 'some/29']);
  const [volume] = await volumesOf(site, 'first');
  const { volumes } = await reclaim(site, { barcodes: [volume!], endedBefore: Date.now() + 1000 });
  t.is(volumes[0]?.result, 'scratch');
  const [target] = await volumesOf(site, 'first');
  const [container] = (await site.catalog.containers(target!)).filter(({ state }) => state === 'closed');
  const { entries, indexed, filesystem } = await site.drives.withVolume(target!, 'read', 'bulk', (medium) => describeContainer(medium, container!.startBlock, container!.bytes / tapeBlockSize));
  t.true(indexed);
  t.is(filesystem, site.context.filesystem.row.uuid);
  const names = entries.map(({ name }) => name.toString()).toSorted();
  t.deepEqual(names, [...paths.filter((path) => !['some/5', 'some/6', 'some/29'].includes(path)), 'some/4-again'].toSorted());
  const link = entries.find(({ kind }) => kind === 'link');
  t.true([link?.name.toString(), link?.link?.toString()].includes('some/4'));
  const blocks = await site.drives.withVolume(target!, 'read', 'bulk', async (medium) => {
    await medium.locate(container!.startBlock);
    const found: Buffer[] = [];
    for (let block = await medium.readBlock(Buffer.alloc(tapeBlockSize)); Buffer.isBuffer(block); block = await medium.readBlock(Buffer.alloc(tapeBlockSize))) found.push(block);
    return Buffer.concat(found);
  });
  const tar = join(site.libraryDir, 'container.tar');
  writeFileSync(tar, blocks);
  const listed = execFileSync('tar', ['-tf', tar, '--warning=no-unknown-keyword'], { timeout: 60_000 }).toString().trim().split('\n');
  t.deepEqual(listed.filter((name) => !name.startsWith('.hsm/')).toSorted(), names);
});

root('old versions are copied while their retention lasts, and forgotten afterwards', async (t) => {
  const site = await archiving(t, 'ext4', { ...options, pools: ['first'] });
  const paths = makeFiles(site.mount, 'some', 20, () => 5000);
  t.is((await site.archive()).failed, 0);
  const files = await site.catalog.filesByInode(site.context.filesystem.row.id, paths.map((path) => statSync(join(site.mount, path)).ino));
  await remove(site, paths.slice(0, 5));
  const [volume] = await volumesOf(site, 'first');
  const first = await reclaim(site, { barcodes: [volume!], endedBefore: Date.now() - 60_000 });
  t.like(first.volumes[0], { result: 'scratch', copied: 20, expired: 0 });
  const [second] = await volumesOf(site, 'first');
  const then = await reclaim(site, { barcodes: [second!], endedBefore: Date.now() + 1000 });
  t.like(then.volumes[0], { result: 'scratch', copied: 15, expired: 5 });
  t.is(await site.catalog.object(files[0]!.object), undefined);
  t.deepEqual(await site.catalog.check(), []);
});

root('an old version that a stub names is kept whatever its age', async (t) => {
  const site = await archiving(t, 'ext4', { ...options, pools: ['first'] });
  const paths = makeFiles(site.mount, 'some', 4, () => 5000);
  t.is((await site.archive()).failed, 0);
  const record = native.getxattr(Buffer.from(join(site.mount, paths[0]!)), stubXattr)!;
  await remove(site, [paths[0]!]);
  // As from a backup: another inode, hollow, with the old record.
  writeFileSync(join(site.mount, 'restored'), '');
  truncateSync(join(site.mount, 'restored'), 5000);
  native.setxattr(Buffer.from(join(site.mount, 'restored')), stubXattr, record);
  const [volume] = await volumesOf(site, 'first');
  t.like((await reclaim(site, { barcodes: [volume!], endedBefore: Date.now() + 1000 })).volumes[0], { result: 'scratch', copied: 4, expired: 0 });
  const now = decodeStubRecord(native.getxattr(Buffer.from(join(site.mount, 'restored')), stubXattr)!);
  const object = await site.catalog.object(now!.object);
  t.like(object?.copies[0], { volume: now!.volume, container: now!.container, offset: now!.offset });
});

root('what is damaged on the volume comes from the other pool', async (t) => {
  const site = await archiving(t, 'ext4', options);
  const paths = makeFiles(site.mount, 'some', 100, () => 30_000);
  const originals = originalsOf(site.mount, paths);
  t.is((await site.archive()).failed, 0);
  const [volume] = await volumesOf(site, 'first');
  await damageObject(site, 'some/50', volume!);
  const { volumes, failures } = await reclaim(site, { barcodes: [volume!] });
  t.deepEqual(failures, []);
  t.is(volumes[0]?.result, 'scratch');
  t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: 100, resident: 0 });
});

root('a volume that cannot be reclaimed is refused, one that is needed is left alone, a dry run does nothing', async (t) => {
  const site = await archiving(t, 'ext4', { ...options, pools: ['first'] });
  makeFiles(site.mount, 'some', 10, () => 50_000);
  t.is((await site.archive()).failed, 0);
  const [volume] = await volumesOf(site, 'first');
  await t.throwsAsync(reclaim(site, { barcodes: ['NOSUCH'] }), { code: 'NO_VOLUME' });
  await t.throwsAsync(reclaim(site, { barcodes: ['V00008L9'] }), { code: 'REFUSED' });
  t.like((await reclaim(site, { barcodes: [volume!], below: 0.01 })).volumes[0], { result: 'kept' });
  t.like((await reclaim(site, { barcodes: [volume!], dryRun: true })).volumes[0], { result: 'would', copied: 10 });
  t.is((await site.catalog.volume(volume!))?.objects, 10);
  await site.drives.setDrive('drive1', 'down', 'test');
  await t.throwsAsync(reclaim(site, { barcodes: [volume!] }), { code: 'NO_DRIVE' });
});
