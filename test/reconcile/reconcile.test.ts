import { linkSync, mkdirSync, renameSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../src/native/index.ts';
import { reconcile, type Found, type ReconcileRequest } from '../../src/reconcile/reconcile.ts';
import { decodeStubRecord, stubXattr } from '../../src/stub.ts';
import { checkInvariants, originalsOf, stateOf } from '../fixtures/archive-invariants.ts';
import { archiving, type Archiving } from '../fixtures/archiving.ts';
import { filesystemTypes, kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes } from '../fixtures/random.ts';

const root = kernelTest(test);

function makeFiles(mount: string, folder: string, count: number): string[] {
  mkdirSync(join(mount, folder));
  return Array.from({ length: count }, (_, i) => {
    writeFileSync(join(mount, folder, `${i}`), seededBytes(i + 1, 9000));
    utimesSync(join(mount, folder, `${i}`), 1_400_000_000, 1_400_000_000);
    return `${folder}/${i}`;
  });
}

async function run(site: Archiving, request: Partial<ReconcileRequest> = {}): Promise<(readonly [finding: string, path: string, done: boolean])[]> {
  const found: Found[] = [];
  const { row, mountFd, path } = site.context.filesystem;
  await reconcile(
    { catalog: site.catalog, filesystem: { id: row.id, path, mountFd, locks: site.locks }, stopRequested: () => false },
    { adopt: false, dryRun: false, ...request },
    { progress: () => undefined, found: (each) => found.push(each) },
  );
  return found.map(({ finding, path: at, done }) => [finding, at.toString(), done] as const).toSorted(([a, b], [c, d]) => (`${a} ${b}` < `${c} ${d}` ? -1 : 1));
}

for (const type of filesystemTypes) {
  root(`on ${type} files that are gone, renamed or changed are found and put right, and then all is well`, async (t) => {
    const site = await archiving(t, type);
    const paths = makeFiles(site.mount, 'some', 12);
    const originals = originalsOf(site.mount, paths);
    t.is((await site.archive()).failed, 0);
    t.deepEqual(await run(site), []);
    mkdirSync(join(site.mount, 'new'));
    renameSync(join(site.mount, 'some/1'), join(site.mount, 'new/one'));
    renameSync(join(site.mount, 'some/2'), join(site.mount, 'some/3'));
    rmSync(join(site.mount, 'some/4'));
    linkSync(join(site.mount, 'some/5'), join(site.mount, 'new/five'));
    rmSync(join(site.mount, 'some/5'));
    linkSync(join(site.mount, 'some/6'), join(site.mount, 'new/six'));
    const expected = [
      ['gone', 'some/3'],
      ['gone', 'some/4'],
      ['renamed', 'new/five'],
      ['renamed', 'new/one'],
      ['renamed', 'some/3'],
    ];
    t.deepEqual(await run(site, { dryRun: true }), expected.map(([finding, path]) => [finding, path, false]));
    t.deepEqual(await run(site, { dryRun: true }), expected.map(([finding, path]) => [finding, path, false]), 'a dry run changes nothing');
    t.deepEqual(await run(site), expected.map(([finding, path]) => [finding, path, true]));
    t.deepEqual(await run(site), []);
    const pathOfOne = await site.catalog.pathOf(site.context.filesystem.row.id, statSync(join(site.mount, 'new/one')).ino);
    t.is(pathOfOne?.toString(), 'new/one');
    for (const [from, to] of [['some/1', 'new/one'], ['some/2', 'some/3'], ['some/5', 'new/five']] as const) originals.set(to, originals.get(from)!);
    for (const path of ['some/1', 'some/2', 'some/4', 'some/5']) originals.delete(path);
    t.deepEqual(await checkInvariants(site, originals), { stubs: 10, resident: 0 });
  });
}

root('a stub that lost its record gets it again, one that was overwritten counts as resident', async (t) => {
  const site = await archiving(t, 'ext4');
  makeFiles(site.mount, 'some', 4);
  t.is((await site.archive()).failed, 0);
  const record = native.getxattr(Buffer.from(join(site.mount, 'some/0')), stubXattr);
  native.removexattr(Buffer.from(join(site.mount, 'some/0')), stubXattr);
  native.removexattr(Buffer.from(join(site.mount, 'some/1')), stubXattr);
  writeFileSync(join(site.mount, 'some/1'), 'other content');
  t.deepEqual(await run(site), [
    ['changed', 'some/1', true],
    ['missing-record', 'some/0', true],
  ]);
  t.deepEqual(native.getxattr(Buffer.from(join(site.mount, 'some/0')), stubXattr), record);
  t.is(await stateOf(site, 'some/1'), 'resident');
  t.deepEqual(await run(site), []);
  t.deepEqual(await site.catalog.check(), []);
});

root('a foreign record is dropped from data; a hollow file from a backup is adopted only on demand, and never beside the file itself', async (t) => {
  const site = await archiving(t, 'ext4');
  const paths = makeFiles(site.mount, 'some', 3);
  const originals = originalsOf(site.mount, paths);
  t.is((await site.archive()).failed, 0);
  const recordOf = (path: string): Buffer => native.getxattr(Buffer.from(join(site.mount, path)), stubXattr)!;
  const put = (path: string, record: Buffer): void => native.setxattr(Buffer.from(join(site.mount, path)), stubXattr, record);
  writeFileSync(join(site.mount, 'copy'), seededBytes(1, 9000));
  put('copy', recordOf('some/0'));
  for (const [path, from] of [['back', 'some/1'], ['twin', 'some/2']] as const) {
    writeFileSync(join(site.mount, path), '');
    truncateSync(join(site.mount, path), 9000);
    put(path, recordOf(from));
  }
  rmSync(join(site.mount, 'some/1'));
  t.deepEqual(await run(site), [
    ['foreign-record', 'copy', true],
    ['foreign-stub', 'back', false],
    ['foreign-stub', 'twin', false],
    ['gone', 'some/1', true],
  ]);
  t.is(native.getxattr(Buffer.from(join(site.mount, 'copy')), stubXattr), null);
  t.deepEqual(await run(site, { adopt: true }), [
    ['foreign-stub', 'back', true],
    ['foreign-stub', 'twin', false],
  ]);
  const now = decodeStubRecord(recordOf('back'));
  t.is(now?.handleHash, native.handleHash(native.fileHandle(-100, join(site.mount, 'back'))));
  originals.set('back', originals.get('some/1')!);
  originals.delete('some/1');
  t.deepEqual(await checkInvariants(site, originals), { stubs: 3, resident: 0 });
});

root('a stub that the catalogue does not have is adopted on demand', async (t) => {
  const site = await archiving(t, 'ext4');
  const originals = originalsOf(site.mount, makeFiles(site.mount, 'some', 2));
  t.is((await site.archive()).failed, 0);
  await site.catalog.dropFiles(site.context.filesystem.row.id, [statSync(join(site.mount, 'some/1')).ino]);
  t.deepEqual(await run(site), [['unknown-stub', 'some/1', false]]);
  t.deepEqual(await run(site, { adopt: true }), [['unknown-stub', 'some/1', true]]);
  t.deepEqual(await run(site), []);
  t.deepEqual(await checkInvariants(site, originals), { stubs: 2, resident: 0 });
});
