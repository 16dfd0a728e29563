import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, closeSync, linkSync, mkdirSync, openSync, readFileSync, renameSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { labelVolume } from '../../src/media/containers.ts';
import { decodeStubRecord, stubXattr } from '../../src/stub.ts';
import { native } from '../../src/native/index.ts';
import { checkInvariants, originalsOf, stateOf } from '../fixtures/archive-invariants.ts';
import { archiving, type Archiving } from '../fixtures/archiving.ts';
import { filesystemTypes, kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes } from '../fixtures/random.ts';
import { factsOf, makeTree } from '../fixtures/tree.ts';

// One after the other: each has a filesystem of its own.
const root = kernelTest(test.serial as typeof test);
const mib = 2 ** 20;

let seed = 1;
/** A cold file of incompressible bytes. */
function cold(site: Archiving, path: string, size = 10_000): string {
  const full = join(site.mount, path);
  mkdirSync(join(full, '..'), { recursive: true });
  writeFileSync(full, seededBytes(seed++, size));
  utimesSync(full, 1_400_000_000, 1_400_000_000);
  return path;
}

const usedBy = async (site: Archiving): Promise<number[]> => (await site.catalog.volumes()).map(({ used }) => used);

for (const type of filesystemTypes) {
  root(`${type}: a tree of all kinds of files becomes stubs that keep their attributes, with two verified copies of every byte`, async (t) => {
    const site = await archiving(t, type, { sizeMiB: 512, pools: ['first', 'second'] });
    makeTree(site.mount, { folders: 2, filesPerFolder: 60, biggest: 20 * mib });
    const before = factsOf(site.mount);
    const originals = originalsOf(site.mount, before.keys());
    const summary = await site.archive();
    t.like(summary, { archived: 116, released: 116, failed: 0, skipped: { empty: 4 } });
    t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: 118, resident: 4 });
    for (const [path, facts] of factsOf(site.mount, false)) t.deepEqual({ ...before.get(path), sha256: '' }, facts, path);
    t.deepEqual(site.warnings, []);
    const [first, second] = await site.catalog.volumes();
    t.is(first?.pool, 'first');
    t.is(second?.pool, 'second');
    t.is(first?.endBlock, second?.endBlock);
    const again = await site.archive();
    t.like(again, { archived: 0, released: 0, failed: 0 });
    t.is(again.skipped['stub'], 118);
    t.deepEqual(await site.verify({ tape: 'V00001L9' }), { checked: 116, damaged: 0, repaired: 0, objects: [] });
    t.deepEqual(await site.verify({ paths: ['d0'] }), { checked: 116, damaged: 0, repaired: 0, objects: [] });
  });

  root(`${type}: files that are archived and unchanged are released without writing tape`, async (t) => {
    const site = await archiving(t, type, { pools: ['first', 'second'] });
    for (let i = 0; i < 20; i += 1) cold(site, `d/${i}`);
    const originals = originalsOf(
      site.mount,
      Array.from({ length: 20 }, (_, i) => `d/${i}`),
    );
    t.like(await site.archive({ keepData: true }), { archived: 20, released: 0 });
    t.is(await stateOf(site, 'd/3'), 'archived');
    t.like(await site.archive({ keepData: true }), { archived: 0, released: 0, skipped: { archived: 20 } });
    const used = await usedBy(site);
    t.like(await site.archive({ paths: [Buffer.from('d/3')] }), { archived: 0, released: 1 });
    t.like(await site.release(['d/4', 'd/5']), { archived: 0, released: 2, bytes: 20_000 });
    t.deepEqual(await usedBy(site), used);
    t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: 3, resident: 17 });
    t.is(await stateOf(site, 'd/4'), 'stub');
  });
}

root('every file that is left alone is counted with its reason', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'good');
  cold(site, 'keep/b.tmp');
  cold(site, 'skip/c');
  cold(site, 'tiny', 100);
  writeFileSync(join(site.mount, 'young'), seededBytes(1, 5000));
  writeFileSync(join(site.mount, 'empty'), '');
  utimesSync(join(site.mount, 'empty'), 1, 1);
  writeFileSync(join(site.mount, 'hollow'), '');
  truncateSync(join(site.mount, 'hollow'), 50_000);
  utimesSync(join(site.mount, 'hollow'), 1, 1);
  execFileSync('chattr', ['+i', join(site.mount, cold(site, 'sealed'))]);
  execFileSync('chattr', ['+a', join(site.mount, cold(site, 'append'))]);
  t.teardown(() => execFileSync('chattr', ['-i', '-a', join(site.mount, 'sealed'), join(site.mount, 'append')]));
  const open = openSync(join(site.mount, cold(site, 'open')), 'r');
  const mapped = cold(site, 'locked');
  const unlock = site.locks.tryLock(statSync(join(site.mount, mapped)).ino);
  const summary = await site.archive({ olderThan: 3600, largerThan: 200, exclude: ['*.tmp', 'skip'] });
  closeSync(open);
  unlock?.();
  t.like(summary, { failed: 0, skipped: { young: 1, empty: 1, small: 1, immutable: 2, excluded: 2, size: 1 } });
  t.is(await stateOf(site, 'good'), 'stub');
  t.is(await stateOf(site, 'young'), 'none');
  t.true((summary.skipped['open'] ?? 0) >= 1);
  const of = (path: string): (string | null)[] => site.outcomes.filter((each) => each.path.toString() === path).map(({ outcome, reason }) => `${outcome} ${reason}`);
  t.deepEqual(of('good'), ['archived null', 'released null']);
  t.deepEqual(of('locked'), ['archived null', 'skipped open']);
  t.deepEqual(of('sealed'), ['skipped immutable']);
  t.is(of('open').at(-1), 'skipped open');
});

root('a dry run counts what would be done and does nothing', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'a', 3000);
  cold(site, 'b', 4000);
  await site.archive({ keepData: true, paths: [Buffer.from('a')] });
  const used = await usedBy(site);
  t.like(await site.archive({ dryRun: true }), { archived: 1, released: 2, bytes: 4000 });
  t.deepEqual(await usedBy(site), used);
  t.is(await stateOf(site, 'a'), 'archived');
  t.is(await stateOf(site, 'b'), 'none');
});

root('where only ctime differs the content decides, not the times that anybody can put back', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'touched');
  cold(site, 'rewritten');
  await site.archive({ keepData: true });
  const used = await usedBy(site);
  chmodSync(join(site.mount, 'touched'), 0o600);
  writeFileSync(join(site.mount, 'rewritten'), seededBytes(999, 10_000));
  utimesSync(join(site.mount, 'rewritten'), 1_400_000_000, 1_400_000_000);
  const originals = originalsOf(site.mount, ['touched', 'rewritten']);
  t.like(await site.release(['touched']), { released: 1 });
  t.deepEqual(await usedBy(site), used);
  t.like(await site.release(['rewritten']), { released: 0, skipped: { changed: 1 } });
  t.like(await site.archive(), { archived: 1, released: 1 });
  t.deepEqual(await checkInvariants(site, originals), { stubs: 2, resident: 0 });
});

root('an inode with several names is archived and released once', async (t) => {
  const site = await archiving(t, 'ext4', { containerSize: 2 * mib });
  for (let i = 0; i < 8; i += 1) {
    cold(site, `a/${i}`, 700_000);
    mkdirSync(join(site.mount, 'b'), { recursive: true });
    linkSync(join(site.mount, `a/${i}`), join(site.mount, `b/${i}`));
  }
  const originals = originalsOf(site.mount, factsOf(site.mount, false).keys());
  t.like(await site.archive(), { archived: 8, released: 8, failed: 0, bytes: 8 * 700_000 });
  t.deepEqual(await checkInvariants(site, originals), { stubs: 16, resident: 0 });
  t.is(await site.catalog.countStates(site.context.filesystem.row.id).then(({ stub }) => stub), 8);
});

root('small files share containers up to their size, a larger file gets its own', async (t) => {
  const site = await archiving(t, 'ext4', { containerSize: 4 * mib });
  for (let i = 0; i < 10; i += 1) cold(site, `s/${i}`, mib);
  cold(site, 's/large', 9 * mib);
  const originals = originalsOf(site.mount, factsOf(site.mount, false).keys());
  t.like(await site.archive(), { archived: 11, released: 11 });
  const containers = (await site.catalog.containers('V00001L9')).filter(({ bytes }) => bytes > 2 * mib);
  t.true(containers.length >= 4, `${containers.length} containers`);
  for (const { bytes } of containers) t.true(bytes <= 6 * mib || bytes >= 9 * mib, `${bytes} bytes`);
  t.deepEqual(await checkInvariants(site, originals), { stubs: 11, resident: 0 });
});

root('a session ends with a dump of the catalogue on each volume that it used', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['first', 'second'] });
  cold(site, 'a');
  await site.archive();
  for (const barcode of ['V00001L9', 'V00002L9']) {
    const containers = await site.catalog.containers(barcode);
    t.is(containers.length, 2);
    const tap = readFileSync(join(site.libraryDir, 'cartridges', `${barcode}.tap`));
    t.true(tap.includes('.hsm/catalogue-'), barcode);
    t.true(tap.includes('SQLite format 3'), barcode);
  }
});

root('a volume that fills up is ended well, and the run goes on with the next', async (t) => {
  const site = await archiving(t, 'ext4', { capacity: 8 * mib, cartridges: 6, containerSize: 64 * mib, pools: ['first', 'second'] });
  for (let i = 0; i < 40; i += 1) cold(site, `d/${i}`, 300_000 + i);
  const originals = originalsOf(site.mount, factsOf(site.mount, false).keys());
  t.like(await site.archive(), { archived: 40, released: 40, failed: 0 });
  t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: 40, resident: 0 });
  const volumes = await site.catalog.volumes();
  t.true(volumes.filter(({ state }) => state === 'full').length >= 2);
  const truncated = (await site.catalog.containers('V00001L9')).filter(({ state }) => state === 'truncated');
  t.is(truncated.length, 1);
  t.true(readFileSync(join(site.libraryDir, 'cartridges', 'V00001L9.tap')).includes('.hsm/container-1.jsonl'));
});

root('a file that fits on no volume fails alone, and no volume is spoilt by it', async (t) => {
  const site = await archiving(t, 'ext4', { capacity: 16 * mib, cartridges: 3, containerSize: 4 * mib });
  cold(site, 'a/small');
  cold(site, 'a/monster', 40 * mib);
  cold(site, 'b/small');
  const originals = originalsOf(site.mount, factsOf(site.mount, false).keys());
  t.like(await site.archive(), { archived: 2, released: 2, failed: 1 });
  t.deepEqual(
    site.outcomes.filter(({ outcome }) => outcome === 'failed').map(({ path, reason }) => `${path.toString()} ${reason}`),
    ['a/monster EFBIG'],
  );
  t.deepEqual(await checkInvariants(site, originals), { stubs: 2, resident: 1 });
  t.deepEqual(
    (await site.catalog.volumes()).map(({ state }) => state),
    ['writable', 'scratch', 'scratch'],
  );
});

root('without volumes the run fails and says what to do; what was finished stays finished, and a rerun goes on', async (t) => {
  const site = await archiving(t, 'ext4', { capacity: 8 * mib, cartridges: 1, containerSize: 2 * mib });
  for (let i = 0; i < 30; i += 1) cold(site, `d/${i}`, 400_000);
  const originals = originalsOf(site.mount, factsOf(site.mount, false).keys());
  const error = await t.throwsAsync(site.archive(), { code: 'NO_VOLUME' });
  t.regex(error.message, /pool main has no writable or scratch volume.*hsm tape add.*run it again/);
  t.is((error as { exit?: number }).exit, 3);
  const { stubs } = await checkInvariants(site, originals);
  t.true(stubs >= 10, `${stubs} stubs`);
  t.is((await site.catalog.countStates(site.context.filesystem.row.id)).stub, stubs);
  await t.throwsAsync(site.archive(), { code: 'NO_VOLUME' });
});

root('with fewer drives up than pools nothing is begun', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['first', 'second'] });
  cold(site, 'a');
  await site.drives.setDrive('drive1', 'down', 'service');
  const error = await t.throwsAsync(site.archive(), { code: 'NO_DRIVE' });
  t.regex(error.message, /hsm drive up/);
  t.is(await stateOf(site, 'a'), 'none');
  await t.throwsAsync(site.archive({ pools: ['x', 'x'] }), { code: 'USAGE' });
  await t.throwsAsync(site.archive({ pools: [] }), { code: 'USAGE' });
});

root('a volume that fails while it is written becomes suspect; all of its container goes to another', async (t) => {
  const site = await archiving(t, 'ext4', { containerSize: 4 * mib });
  for (let i = 0; i < 12; i += 1) cold(site, `d/${i}`, mib);
  const originals = originalsOf(site.mount, factsOf(site.mount, false).keys());
  site.faults.failNth('write', 8, 'EIO', 'after');
  t.like(await site.archive(), { archived: 12, released: 12, failed: 0 });
  const [first, second] = await site.catalog.volumes();
  t.is(first?.state, 'suspect');
  t.regex(first?.reason ?? '', /container 2 failed/);
  t.is(second?.state, 'writable');
  t.true((await site.catalog.containers('V00001L9')).some(({ state }) => state === 'void'));
  t.deepEqual(await checkInvariants(site, originals), { stubs: 12, resident: 0 });
});

root('nothing of a container that is damaged on tape is released; a rerun writes it to another volume', async (t) => {
  const site = await archiving(t, 'ext4');
  for (let i = 0; i < 10; i += 1) cold(site, `d/${i}`, 100_000);
  const originals = originalsOf(site.mount, factsOf(site.mount, false).keys());
  // The first read looks for a label.
  site.faults.flipBit(2, 8 * 500_000);
  const summary = await site.archive();
  t.like(summary, { archived: 10, released: 0, failed: 1, skipped: { unverified: 9 } });
  t.is((await site.catalog.volume('V00001L9'))?.state, 'suspect');
  t.deepEqual(await checkInvariants(site, originals), { stubs: 0, resident: 10 });
  t.like(await site.archive(), { archived: 10, released: 10, failed: 0 });
  t.deepEqual(await checkInvariants(site, originals, { verified: false }), { stubs: 10, resident: 0 });
  t.is((await site.catalog.volume('V00002L9'))?.objects, 10);
});

root('verify tells which objects are damaged, and makes their volume suspect', async (t) => {
  const site = await archiving(t, 'ext4');
  for (let i = 0; i < 5; i += 1) cold(site, `d/${i}`, 100_000);
  await site.archive({ keepData: true });
  site.faults.flipBit(1, 8 * 250_000);
  const result = await site.verify({ paths: ['d'] });
  t.like(result, { checked: 5, damaged: 1 });
  const path = result.objects[0]?.path?.toString();
  t.regex(path ?? '', /^d\/\d$/);
  t.is(result.objects[0]?.reason, 'bad-hash');
  t.is((await site.catalog.volume('V00001L9'))?.state, 'suspect');
  await t.throwsAsync(site.verify({ tape: 'NOSUCH' }), { code: 'NO_VOLUME' });
});

root('a volume that cannot be read is reported and suspect', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'a');
  await site.archive({ keepData: true });
  site.faults.failNth('read', 1);
  const result = await site.verify({ tape: 'V00001L9' });
  t.is(result.damaged, 1);
  t.is(result.objects[0]?.volume, 'V00001L9');
  t.is((await site.catalog.volume('V00001L9'))?.state, 'suspect');
});

root('release reads back what was never verified before it takes data off the disk', async (t) => {
  const site = await archiving(t, 'ext4');
  for (let i = 0; i < 6; i += 1) cold(site, `d/${i}`, 50_000);
  const originals = originalsOf(site.mount, factsOf(site.mount, false).keys());
  await site.archive({ keepData: true });
  t.false((await site.catalog.containers('V00001L9'))[0]?.verified);
  t.like(await site.release(['d/1', 'd/2']), { released: 2, skipped: {} });
  t.true((await site.catalog.containers('V00001L9'))[0]?.verified);
  t.deepEqual(await checkInvariants(site, originals), { stubs: 2, resident: 4 });
});

root('release leaves files whose only copy is damaged', async (t) => {
  const site = await archiving(t, 'ext4');
  for (let i = 0; i < 6; i += 1) cold(site, `d/${i}`, 50_000);
  const originals = originalsOf(site.mount, factsOf(site.mount, false).keys());
  await site.archive({ keepData: true });
  site.faults.flipBit(1, 8 * 120_000);
  t.like(await site.release(), { released: 0 });
  t.deepEqual(await checkInvariants(site, originals), { stubs: 0, resident: 6 });
});

root('a file that has lost one of its two copies is not released before it has two again', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['first', 'second'] });
  const originals = originalsOf(site.mount, [cold(site, 'a')]);
  await site.archive({ keepData: true });
  await site.catalog.setVolume('V00002L9', { state: 'suspect', reason: 'test' });
  t.like(await site.release(), { released: 0, skipped: { changed: 1 } });
  t.like(await site.archive(), { archived: 1, released: 1 });
  t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: 1, resident: 0 });
});

root('a stop ends the run after the container at hand, and a rerun goes on', async (t) => {
  const site = await archiving(t, 'ext4', { containerSize: 2 * mib });
  for (let i = 0; i < 30; i += 1) cold(site, `d/${i}`, 500_000);
  const originals = originalsOf(site.mount, factsOf(site.mount, false).keys());
  let calls = 0;
  const addArchived: typeof site.catalog.addArchived = (...words) => {
    calls += 1;
    if (calls === 2) site.stop = true;
    return site.catalog.addArchived(...words);
  };
  const summary = await site.archive({}, { catalog: { ...site.catalog, addArchived } });
  t.true(summary.interrupted);
  t.true(summary.archived > 0 && summary.archived < 30, `${summary.archived} archived`);
  await checkInvariants(site, originals);
  site.stop = false;
  const rest = await site.archive();
  t.is(summary.archived + rest.archived, 30);
  t.deepEqual(await checkInvariants(site, originals), { stubs: 30, resident: 0 });
});

root('a cartridge with another label is suspect, and left alone', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'a');
  await site.archive();
  const cartridges = join(site.libraryDir, 'cartridges');
  await site.drives.withVolume('V00003L9', 'read', 'bulk', async () => {});
  await site.drives.withVolume('V00004L9', 'read', 'bulk', async () => {});
  renameSync(join(cartridges, 'V00001L9.tap'), join(cartridges, 'kept'));
  writeFileSync(join(cartridges, 'V00001L9.tap'), readFileSync(join(cartridges, 'V00002L9.tap')));
  cold(site, 'b');
  t.like(await site.archive({ paths: [Buffer.from('b')] }), { archived: 1, released: 1 });
  t.is((await site.catalog.volume('V00001L9'))?.state, 'suspect');
  t.is((await site.catalog.volume('V00002L9'))?.state, 'writable');
});

root('what a volume holds behind the end that the catalogue knows is never overwritten: the catalogue may be an older copy', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'a');
  await site.archive();
  const unknown = seededBytes(7, 4096);
  const ends: number[] = [];
  for (const barcode of ['V00001L9', 'V00002L9']) {
    await site.drives.withVolume(barcode, 'write', 'archive', async (medium) => {
      if (barcode === 'V00002L9') await labelVolume(medium);
      ends.push(await medium.locateEnd());
      await medium.writeBlock(unknown);
      await medium.writeFilemark({ sync: true });
    });
  }
  cold(site, 'b');
  t.like(await site.archive({ paths: [Buffer.from('b')] }), { archived: 1, released: 1 });
  for (const [i, barcode] of ['V00001L9', 'V00002L9'].entries()) {
    t.is((await site.catalog.volume(barcode))?.state, 'suspect');
    await site.drives.withVolume(barcode, 'read', 'bulk', async (medium) => {
      await medium.locate(ends[i]!);
      t.deepEqual(await medium.readBlock(Buffer.alloc(mib)), unknown);
    });
  }
  t.is((await site.catalog.volume('V00003L9'))?.objects, 1);
});

root('the library and the state folder are never archived, wherever they are', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'inside/state/catalogue.db');
  cold(site, 'inside/library/cartridges/x.tap');
  cold(site, 'inside/statement');
  const config = { ...site.context.config, state: join(site.mount, 'inside/state'), library: { path: join(site.mount, 'inside/library') } };
  t.like(await site.archive({}, { config }), { archived: 1, released: 1, skipped: { excluded: 2 } });
  t.is(await stateOf(site, 'inside/statement'), 'stub');
});

root('a file that grows while it waits for its eviction keeps its data', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'a');
  cold(site, 'b');
  const markVerified: typeof site.catalog.markVerified = async (...words) => {
    appendFileSync(join(site.mount, 'a'), 'more');
    return site.catalog.markVerified(...words);
  };
  const summary = await site.archive({}, { catalog: { ...site.catalog, markVerified } });
  t.like(summary, { archived: 2, released: 1, skipped: { changed: 1 } });
  t.is(readFileSync(join(site.mount, 'a')).subarray(-4).toString(), 'more');
});

root('a stub that a crash left as archived in the catalogue is put right by the next run', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'a');
  await site.archive();
  const { ino, ctimeNs } = native.statx(site.context.filesystem.mountFd, 'a');
  await site.catalog.moveFiles(site.context.filesystem.row.id, [{ ino, to: 'archived', ctimeNs: 5n }]);
  t.like(await site.release(), { released: 0, skipped: { stub: 1 } });
  const [row] = await site.catalog.filesByInode(site.context.filesystem.row.id, [ino]);
  t.is(row?.state, 'stub');
  t.is(row?.ctimeNs, ctimeNs);
});

root('ext4: a stub whose attributes take a block is a stub all the same', async (t) => {
  const site = await archiving(t, 'ext4');
  execFileSync('setfattr', ['-n', 'user.long', '-v', 'x'.repeat(120), join(site.mount, cold(site, 'a'))]);
  const originals = originalsOf(site.mount, ['a']);
  t.like(await site.archive(), { archived: 1, released: 1 });
  t.true(statSync(join(site.mount, 'a')).blocks > 0);
  t.like(await site.archive(), { archived: 0, released: 0, skipped: { stub: 1 } });
  t.like(await site.release(), { released: 0, skipped: { stub: 1 } });
  t.is(await stateOf(site, 'a'), 'stub');
  t.deepEqual(await checkInvariants(site, originals), { stubs: 1, resident: 0 });
});

root('a record that was copied onto real data is dropped, and the file archived like any other', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'a');
  await site.archive();
  native.setxattr(join(site.mount, cold(site, 'copy')), stubXattr, native.getxattr(join(site.mount, 'a'), stubXattr)!);
  native.setxattr(join(site.mount, cold(site, 'odd')), stubXattr, Buffer.from('short'));
  const copies = originalsOf(site.mount, ['copy', 'odd']);
  t.like(await site.archive(), { archived: 2, released: 2, skipped: { stub: 1 } });
  t.deepEqual(await checkInvariants(site, copies), { stubs: 2, resident: 0 });
});

root('the stub names the first pool, its container and the place in it', async (t) => {
  const site = await archiving(t, 'xfs', { pools: ['second', 'first'] });
  cold(site, 'a', 12_345);
  await site.archive();
  const record = decodeStubRecord(native.getxattr(join(site.mount, 'a'), stubXattr)!);
  t.like(record, { volume: 'V00001L9', container: 1, offset: 0, size: 12_345, mtimeNs: 1_400_000_000_000_000_000n });
  t.is((await site.catalog.volume('V00001L9'))?.pool, 'second');
});

root('paths that overlap or are missing', async (t) => {
  const site = await archiving(t, 'ext4');
  cold(site, 'd/a');
  const summary = await site.archive({ paths: ['d', 'd/a', 'nowhere'].map((path) => Buffer.from(path)) });
  t.like(summary, { archived: 1, released: 1, failed: 1 });
  t.deepEqual(
    site.outcomes.filter(({ outcome }) => outcome === 'failed').map(({ path, reason }) => `${path.toString()} ${reason}`),
    ['nowhere ENOENT'],
  );
});
