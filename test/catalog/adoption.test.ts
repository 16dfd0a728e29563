import test from 'ava';
import { membersOf, objectId, prepare, temporaryCatalog } from '../fixtures/catalogue.ts';

const uuid = '99999999-2222-3333-4444-555555555555';

test('a stub that was made again is the present version of its object, and the old file is no more', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog, ['TAPE01L9', 'TAPE02L9']);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 11, path: 'a/b' }, { ino: 12, path: 'a/c' }, { ino: 13 }]));
  await catalog.moveFiles(filesystem, [{ ino: 11, to: 'stub' }, { ino: 13, to: 'resident' }]);
  const { id: target } = await catalog.addFilesystem({ path: '/new', type: 'xfs', uuid });
  const before = await catalog.volumeUsage();
  const stub = (n: number, ino: number, path: string) => ({ object: objectId(n), ino, handleHash: 0xffff_0000 + n, ctimeNs: 5n, path: Buffer.from(path) });
  await catalog.adoptStubs(target, [stub(11, 77, 'a/b'), stub(13, 78, 'dir/file-13')]);
  t.deepEqual(await catalog.filesByInode(filesystem, [11, 13]), [undefined, undefined]);
  const [file] = await catalog.filesByInode(target, [77]);
  t.like(file, { state: 'stub', handleHash: 0xffff_000b, size: 4096, ctimeNs: 5n });
  t.is((await catalog.pathOf(target, 77))?.toString(), 'a/b');
  t.is((await catalog.countStates(target)).stub, 2);
  t.like(await catalog.countStates(filesystem), { archived: 1, stub: 0, resident: 0 });
  t.true((await catalog.volumeUsage()).every(({ live }, i) => live === before[i]!.live + 5120), 'what was resident needs its copies again');
  t.deepEqual(await catalog.check(), []);

  // Again, and onto an inode that another file had.
  await catalog.adoptStubs(target, [stub(11, 77, 'a/b'), stub(12, 78, 'a/c')]);
  t.is((await catalog.countStates(target)).stub, 2);
  t.is((await catalog.pathOf(target, 78))?.toString(), 'a/c');
  t.deepEqual(await catalog.check(), []);
  await t.throwsAsync(catalog.adoptStubs(target, [stub(99, 80, 'x')]), { code: 'BAD_OBJECT' });
});

test('of files with one name the newest object counts', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 1, path: 'x/y' }, { ino: 2, path: 'x/z' }]));
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 3, path: 'x/y', version: 2 }, { ino: 4, path: 'y', version: 2 }]));
  t.deepEqual(await catalog.supersededFiles(filesystem), [1]);
});

test('another filesystem at a path takes the path, and gives it back', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem } = await prepare(catalog);
  const other = await catalog.addFilesystem({ path: '/data', type: 'ext4', uuid });
  t.not(other.id, filesystem);
  const old = '11111111-2222-3333-4444-555555555555';
  t.deepEqual((await catalog.filesystems()).map(({ path }) => path), [`/data#${old}`, '/data']);
  t.is((await catalog.addFilesystem({ path: '/data', type: 'ext4', uuid: old })).id, filesystem);
  t.deepEqual((await catalog.filesystems()).map(({ path }) => path), ['/data', `/data#${uuid}`]);
});
