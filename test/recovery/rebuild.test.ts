import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openCatalog } from '../../src/catalog/index.ts';
import { readLibraryState } from '../../src/library/layout.ts';
import { archiving, type Archiving, type ArchivingOptions } from '../fixtures/archiving.ts';
import { loseCatalogue, pictureOf, rebuild, uuid, type Rebuilding } from '../fixtures/rebuilding.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes } from '../fixtures/random.ts';
import { makeTree } from '../fixtures/tree.ts';

const root = kernelTest(test);
const mib = 2 ** 20;
const ran = { olderThan: 0 } as const;

const old = new Date('2015-06-07T08:09:09.123Z');

function cold(site: Archiving, path: string, size = 5000): void {
  const file = join(site.mount, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, seededBytes(size + path.length, size));
  utimesSync(file, old, old);
}

const folderOf = (site: Archiving): string => dirname(site.libraryDir);

/** Ends all use of catalogue and library, and loses the catalogue. Returns its picture. */
async function disaster(site: Archiving): Promise<ReturnType<typeof pictureOf>> {
  await site.catalog.close();
  await site.drives.close();
  await site.library.close();
  return pictureOf(loseCatalogue(folderOf(site)));
}

const mounted = (site: Archiving): Rebuilding => ({ folder: folderOf(site), filesystems: [{ path: site.mount, uuid }], pools: site.context.config.archive.pools });
const unmounted = (site: Archiving): Rebuilding => ({ folder: folderOf(site), pools: site.context.config.archive.pools });

/** A session of all kinds of files, one with newer versions and deletions, in two pools. */
async function history(t: ExecutionContext, options: ArchivingOptions = {}): Promise<Archiving> {
  const site = await archiving(t, 'ext4', { pools: ['first', 'second'], containerSize: 4 * mib, ...options });
  makeTree(site.mount, { folders: 2, filesPerFolder: 40, biggest: 5 * mib });
  await site.archive(ran);
  cold(site, 'later/file', 2 * mib + 1);
  cold(site, 'd0/file-00020.dat', 7000);
  rmSync(join(site.mount, 'd1', 'file-00021.dat'));
  await site.archive(ran);
  return site;
}

/** What is of a catalogue that never saw the files themselves: it cannot know whether their data is on disk too. */
const withoutStates = (files: readonly string[]): string[] => files.map((line) => line.replace(/ (?:archived|stub|resident) /, ' '));

root('with the newest dump the catalogue is what it was, copy by copy and file by file', async (t) => {
  const site = await history(t);
  const before = await disaster(site);
  const { path, summary, volumes, lost } = await rebuild(mounted(site));
  const after = pictureOf(path);
  t.deepEqual(after.copies, before.copies);
  t.deepEqual(after.files, before.files.filter((line) => !line.startsWith('d1/file-00021.dat ')));
  t.deepEqual(lost, []);
  t.like(summary, { refused: 0, missing: 0, damaged: 0, gone: 1, lost: 0, foreign: 0 });
  t.true(summary.stubs > 60);
  t.truthy(summary.dump);
  t.deepEqual(
    after.volumes.map((line) => line.split(' ').slice(0, 3).join(' ')),
    before.volumes.map((line) => line.split(' ').slice(0, 3).join(' ')),
  );
  // The dump's own container is all that it could not know.
  t.true(volumes.filter(({ known }) => known > 0).every(({ read }) => read === 1));
  const catalog = openCatalog(path);
  t.deepEqual(await catalog.check(), []);
  await catalog.close();
  t.deepEqual(readdirSync(dirname(path)).filter((name) => name.startsWith('rebuilt.db')), ['rebuilt.db']);
});

root('without a dump every container is read, and says the same', async (t) => {
  const site = await history(t);
  const before = await disaster(site);
  const { path, summary, lost } = await rebuild(mounted(site), { withoutDump: true });
  const after = pictureOf(path);
  t.deepEqual(after.copies, before.copies);
  t.deepEqual(after.files, before.files.filter((line) => !line.startsWith('d1/file-00021.dat ')));
  t.deepEqual(lost, []);
  t.is(summary.dump, null);
  t.deepEqual(
    after.volumes.map((line) => line.split(' ').slice(0, 3).join(' ')),
    before.volumes.map((line) => line.split(' ').slice(0, 3).join(' ')),
  );
});

root('without dump and filesystem, the newest version of each file is the present one', async (t) => {
  const site = await history(t);
  const before = await disaster(site);
  const { path, lost } = await rebuild(unmounted(site), { withoutDump: true });
  const after = pictureOf(path);
  t.deepEqual(after.copies, before.copies);
  const names = (files: readonly string[]): string[] => withoutStates(files).map((line) => line.split(' ').slice(0, -1).join(' '));
  t.deepEqual(names(after.files), names(before.files));
  t.deepEqual(lost, []);
});

root('containers that were written after the newest dump are read', async (t) => {
  const site = await history(t);
  // A run whose dump fails: the disk of the state folder was full, say.
  const catalog = { ...site.catalog, dump: () => Promise.reject(new Error('no dump this time')) };
  cold(site, 'd0/file-00020.dat', 9000);
  cold(site, 'last/one');
  t.like(await site.archive(ran, { catalog }), { archived: 2, failed: 0 });
  const before = await disaster(site);
  const { path, volumes } = await rebuild(mounted(site));
  const after = pictureOf(path);
  t.deepEqual(after.copies, before.copies);
  t.deepEqual(after.files, before.files.filter((line) => !line.startsWith('d1/file-00021.dat ')));
  t.true(volumes.some(({ read }) => read >= 2));
  t.true(after.old.some((line) => line.startsWith('d0/file-00020.dat ')));
});

root('a container that was cut short is taken as far as it goes, its hashes from the index behind it', async (t) => {
  const site = await archiving(t, 'ext4', { capacity: 8 * mib, cartridges: 14, containerSize: 64 * mib, pools: ['first', 'second'] });
  for (let i = 0; i < 6; i += 1) cold(site, `d/${i}`, 2 * mib + i);
  for (let i = 10; i < 30; i += 1) cold(site, `d/${i}`, 200_000 + i);
  t.like(await site.archive(ran), { archived: 26, failed: 0 });
  const truncated = (await site.catalog.containers('V00001L9')).filter(({ state }) => state === 'truncated');
  t.true(truncated.length > 0);
  const before = await disaster(site);
  const { path, lost } = await rebuild(mounted(site), { withoutDump: true });
  const after = pictureOf(path);
  t.deepEqual(after.copies, before.copies);
  t.deepEqual(after.files, before.files);
  t.deepEqual(lost, []);
});

root('a lost volume is named, and what only it held', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['main'], capacity: 8 * mib, cartridges: 4, containerSize: 2 * mib });
  for (let i = 0; i < 40; i += 1) cold(site, `d/${i}`, 300_000 + i);
  await site.archive(ran);
  const onFirst = (await site.catalog.volume('V00001L9'))!.objects;
  t.true(onFirst > 0);
  await disaster(site);
  rmSync(join(site.libraryDir, 'cartridges', 'V00001L9.tap'));
  const { volumes, lost, summary } = await rebuild(mounted(site), { withoutDump: true });
  t.is(lost.filter(({ reason }) => reason === 'unknown-object').length, onFirst);
  t.is(lost[0]?.volume, 'V00001L9');
  t.is(summary.lost, onFirst);
  t.deepEqual(volumes.map(({ volume }) => volume), ['V00002L9', 'V00003L9', 'V00004L9']);
  const again = await rebuild(mounted(site));
  t.true(again.volumes.some(({ volume, result }) => volume === 'V00001L9' && result === 'missing'));
  t.is(again.summary.missing, 1);
  t.is(again.lost.length, 0, 'the dump knows where they are');
});

root('a volume with room that could not be read is not written to', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['main', 'second'], containerSize: 2 * mib });
  cold(site, 'd/1', 300_000);
  await site.archive(ran);
  t.is((await site.catalog.volume('V00001L9'))?.state, 'writable');
  await disaster(site);
  rmSync(join(site.libraryDir, 'cartridges', 'V00001L9.tap'));
  const { path, summary } = await rebuild(mounted(site));
  t.is(summary.missing, 1);
  const catalog = openCatalog(path);
  t.like(await catalog.volume('V00001L9'), { state: 'readonly', reason: 'it was not read when the catalogue was rebuilt: run it again with the volume' });
  await catalog.close();
});

root('a volume that was torn off loses what was on the rest of it, and becomes suspect', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['main'], containerSize: 2 * mib });
  for (let i = 0; i < 30; i += 1) cold(site, `d/${i}`, 300_000 + i);
  await site.archive(ran);
  const containers = await site.catalog.containers('V00001L9');
  await disaster(site);
  truncateSync(join(site.libraryDir, 'cartridges', 'V00001L9.tap'), 3 * mib);
  const { path, volumes, lost, summary } = await rebuild(mounted(site));
  t.true(containers.length > 3);
  t.is(volumes[0]?.result, 'damaged');
  t.true(lost.length > 10 && lost.length < 30, `${lost.length} lost`);
  t.is(summary.lost, lost.length);
  t.true(pictureOf(path).volumes[0]!.includes(' suspect '));
  const catalog = openCatalog(path);
  t.deepEqual(await catalog.check(), []);
  await catalog.close();
});

root('a rewritten volume is read anew: what the dump has of it counts for nothing', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['main'], containerSize: 2 * mib, cartridges: 2 });
  for (let i = 0; i < 10; i += 1) cold(site, `d/${i}`, 300_000 + i);
  await site.archive(ran);
  const other = await archiving(t, 'ext4', { pools: ['main'], containerSize: 2 * mib, cartridges: 2 });
  for (let i = 0; i < 4; i += 1) cold(other, `other/${i}`, 100_000 + i);
  await other.archive(ran, { catalog: { ...other.catalog, dump: () => Promise.reject(new Error('no dump')) } });
  // The catalogue of the first is dumped on its second volume too, which is all that is left of it.
  const { id } = await site.catalog.beginContainer('V00002L9', 3);
  await site.catalog.closeContainer(id, { state: 'void', bytes: 0, endBlock: 3, used: 0 });
  const before = await disaster(site);
  await disaster(other);
  t.true(before.files.length === 10);
  for (const suffix of ['tap', 'json', 'idx']) {
    const from = join(other.libraryDir, 'cartridges', `V00001L9.${suffix}`);
    if (existsSync(from)) renameSync(from, join(site.libraryDir, 'cartridges', `V00001L9.${suffix}`));
  }
  const { path, volumes } = await rebuild(unmounted(site));
  t.is(volumes[0]?.known, 0);
  const names = pictureOf(path).files.map((line) => line.split(' ')[0]);
  t.deepEqual(names, ['other/0', 'other/1', 'other/2', 'other/3']);
});

root('volumes of another installation and of somebody else are refused by name, unless one is asked for', async (t) => {
  const foreign = await archiving(t, 'ext4', { pools: ['main'], cartridges: 1 });
  cold(foreign, 'foreign/file');
  await foreign.archive(ran);
  await disaster(foreign);
  const site = await archiving(t, 'ext4', { pools: ['main'], cartridges: 2 });
  cold(site, 'own/file');
  await site.archive(ran);
  await disaster(site);
  const cartridges = join(site.libraryDir, 'cartridges');
  // The same barcode prints another label on the second: it says so itself.
  renameSync(join(foreign.libraryDir, 'cartridges', 'V00001L9.tap'), join(cartridges, 'X00001L9.tap'));
  writeFileSync(join(cartridges, 'Y00001L9.tap'), Buffer.concat([Buffer.from([5, 0, 0, 0]), Buffer.from('tars!'), Buffer.from([0, 5, 0, 0, 0, 0, 0, 0, 0])]));
  const { volumes, path, summary } = await rebuild(mounted(site));
  t.deepEqual(
    volumes.filter(({ result }) => result === 'refused').map(({ volume, reason }) => [volume, reason]),
    [
      ['X00001L9', 'its label says that it is V00001L9'],
      ['Y00001L9', 'its label is not one of hsm'],
    ],
  );
  t.is(summary.refused, 2);
  t.deepEqual(
    pictureOf(path).volumes.map((line) => line.split(' ')[0]),
    ['V00001L9', 'V00002L9'],
  );
});

root('a cartridge of another installation with a label of its own is told by the catalogue that it holds', async (t) => {
  const foreign = await archiving(t, 'ext4', { pools: ['main'], cartridges: 3 });
  cold(foreign, 'foreign/file');
  await foreign.catalog.setVolume('V00001L9', { state: 'exported' });
  await foreign.catalog.setVolume('V00002L9', { state: 'exported' });
  const { filesystem } = foreign.context;
  await foreign.archive(ran, { filesystem: { ...filesystem, row: { ...filesystem.row, uuid: '00000000-0000-4000-8000-000000000002' } } });
  await disaster(foreign);
  const site = await archiving(t, 'ext4', { pools: ['main'], cartridges: 2 });
  cold(site, 'own/file');
  // Names of dumps count seconds.
  await site.archive(ran, { clock: { now: () => Date.now() + 5000 } });
  await disaster(site);
  renameSync(join(foreign.libraryDir, 'cartridges', 'V00003L9.tap'), join(site.libraryDir, 'cartridges', 'V00003L9.tap'));
  const { volumes, path } = await rebuild(mounted(site));
  t.is(volumes[2]?.result, 'refused');
  t.regex(volumes[2]?.reason ?? '', /another installation.*--include V00003L9/);
  t.deepEqual(pictureOf(path).files.map((line) => line.split(' ')[0]), ['own/file']);
  const both = await rebuild(unmounted(site), { include: ['V00003L9'] });
  t.deepEqual(pictureOf(both.path).files.map((line) => line.split(' ')[0]), ['foreign/file', 'own/file']);
});

root('from stubs alone, the volumes that they name are read and no others', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['main'], capacity: 8 * mib, cartridges: 6, containerSize: 2 * mib });
  for (let i = 0; i < 30; i += 1) cold(site, `d/${i}`, 300_000 + i);
  await site.archive(ran);
  const before = await disaster(site);
  const { path, volumes, lost } = await rebuild(mounted(site), { from: 'stubs' });
  t.deepEqual(lost, []);
  const after = pictureOf(path);
  t.deepEqual(after.files, before.files);
  t.deepEqual(after.copies, before.copies);
  const used = before.volumes.filter((line) => !line.includes(' scratch ')).map((line) => line.split(' ')[0]!);
  t.deepEqual(volumes.map(({ volume }) => volume), used);
  t.is(after.volumes.filter((line) => line.includes(' suspect ')).length, 6 - used.length);
  await t.throwsAsync(rebuild(unmounted(site), { from: 'stubs' }), { code: 'NO_VOLUME' });
});

root('whoever stops it finds nothing of it', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['main'] });
  cold(site, 'a');
  await site.archive(ran);
  await disaster(site);
  let asked = 0;
  const at = (n: number) => rebuild({ ...mounted(site), stopRequested: () => (asked += 1) === n });
  for (let n = 1; ; n += 1) {
    asked = 0;
    const ended = await at(n).then(
      () => true,
      (error: { code?: string }) => t.is(error.code, 'ECANCELED') && false,
    );
    if (ended) break;
    t.deepEqual(readdirSync(join(folderOf(site), 'state')).filter((name) => name.startsWith('rebuilt')), []);
  }
  t.true(asked > 3);
  t.truthy(await readLibraryState(site.libraryDir));
});

root('a damaged dump gives way to the one before it', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['main'] });
  cold(site, 'a');
  await site.archive(ran);
  cold(site, 'b');
  await site.archive(ran, { clock: { now: () => Date.now() + 5000 } });
  const before = await disaster(site);
  const tap = join(site.libraryDir, 'cartridges', 'V00001L9.tap');
  // One byte of the database in its container; the container's index is as it was.
  const bytes = readFileSync(tap);
  const at = bytes.lastIndexOf('SQLite format 3');
  t.true(at > 0);
  bytes[at + 5000]! ^= 1;
  writeFileSync(tap, bytes);
  const { summary, path } = await rebuild(mounted(site));
  t.truthy(summary.dump);
  t.deepEqual(pictureOf(path).files, before.files);
});
