import { chmodSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { undelete, type UndeleteContext } from '../../src/recovery/undelete.ts';
import { checkInvariants, originalsOf, stateOf } from '../fixtures/archive-invariants.ts';
import { archiving, type Archiving } from '../fixtures/archiving.ts';
import { filesystemTypes, kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes } from '../fixtures/random.ts';
import { damageObject } from '../fixtures/damage.ts';
import { reclaim, volumesOf } from '../fixtures/reclaiming.ts';

const root = kernelTest(test);

const contextOf = ({ catalog, drives, locks, context: { filesystem } }: Archiving): UndeleteContext => ({ catalog, drives, target: { id: filesystem.row.id, mountFd: filesystem.mountFd, locks } });

const versions = (site: Archiving, path: string) => site.catalog.oldVersions(site.context.filesystem.row.id, Buffer.from(path));

/** Archives a version of the file; resolves with its hash. */
async function version(site: Archiving, path: string, seed: number): Promise<string> {
  rmSync(join(site.mount, path), { force: true });
  writeFileSync(join(site.mount, path), seededBytes(seed, 9000 + seed));
  chmodSync(join(site.mount, path), 0o640);
  utimesSync(join(site.mount, path), 1_400_000_000, 1_400_000_000 + seed);
  const hash = originalsOf(site.mount, [path]).get(path)!;
  if ((await site.archive({ keepData: true })).failed > 0) throw new Error('not archived');
  return hash;
}

async function forget(site: Archiving, path: string): Promise<void> {
  const { ino } = statSync(join(site.mount, path));
  rmSync(join(site.mount, path));
  await site.catalog.dropFiles(site.context.filesystem.row.id, [ino]);
}

for (const type of filesystemTypes) {
  root(`on ${type} a deleted file comes back as it was, and an older version of it elsewhere`, async (t) => {
    const site = await archiving(t, type);
    mkdirSync(join(site.mount, 'some'));
    const first = await version(site, 'some/file', 1);
    await forget(site, 'some/file');
    const second = await version(site, 'some/file', 2);
    await forget(site, 'some/file');
    t.deepEqual((await versions(site, 'some/file')).map(({ size }) => size), [9002, 9001], 'the newest first');
    const [newest, oldest] = await versions(site, 'some/file');
    await undelete(contextOf(site), { object: newest!.object, path: Buffer.from('some/file') });
    t.like(statSync(join(site.mount, 'some/file')), { size: 9002, mode: 0o100640, mtimeMs: 1_400_000_002_000 });
    t.is(await stateOf(site, 'some/file'), 'stub');
    const refused = await t.throwsAsync(undelete(contextOf(site), { object: oldest!.object, path: Buffer.from('some/file') }), { code: 'REFUSED' });
    t.regex(refused.message, /--into/);
    await undelete(contextOf(site), { object: oldest!.object, path: Buffer.from('other/place/file') });
    t.deepEqual(await versions(site, 'some/file'), []);
    await site.verify({ tape: (await volumesOf(site, 'main'))[0]! });
    t.deepEqual(await checkInvariants(site, new Map([['some/file', second], ['other/place/file', first]])), { stubs: 2, resident: 0 });
    await t.throwsAsync(undelete(contextOf(site), { object: newest!.object, path: Buffer.from('again') }), { code: 'REFUSED' });
  });
}

root('a header that is damaged is read from the other copy; without one nothing is made', async (t) => {
  const site = await archiving(t, 'ext4', { pools: ['first', 'second'] });
  const hash = await version(site, 'file', 1);
  const [volume] = await volumesOf(site, 'first');
  await damageObject(site, 'file', volume!, 600);
  await forget(site, 'file');
  const [old] = await versions(site, 'file');
  await undelete(contextOf(site), { object: old!.object, path: Buffer.from('file') });
  await forget(site, 'file');
  const [other] = await volumesOf(site, 'second');
  await site.catalog.setVolume(other!, { state: 'failed' });
  await t.throwsAsync(undelete(contextOf(site), { object: old!.object, path: Buffer.from('file') }), { code: 'EIO' });
  t.throws(() => statSync(join(site.mount, 'file')), { code: 'ENOENT' });
  t.is(hash.length, 64);
});

root('a version whose retention has ended is gone with the next reclaim, and not before', async (t) => {
  const site = await archiving(t, 'ext4');
  await version(site, 'file', 1);
  await forget(site, 'file');
  const [volume] = await volumesOf(site, 'main');
  const [{ endedAt } = { endedAt: 0 }] = await versions(site, 'file');
  await reclaim(site, { barcodes: [volume!], endedBefore: endedAt - 1 });
  t.is((await versions(site, 'file')).length, 1);
  await reclaim(site, { barcodes: await volumesOf(site, 'main'), endedBefore: endedAt });
  t.deepEqual(await versions(site, 'file'), []);
});
