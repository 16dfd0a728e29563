import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Catalog } from '../../src/catalog/model.ts';
import { addContainer, membersOf, objectId, prepare, temporaryCatalog, type MemberFake } from '../fixtures/catalogue.ts';
import { seededRandom } from '../fixtures/random.ts';

test('an archived file comes back by inode, by object and by path, with every value', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  const ino = 2 ** 52 + 1;
  const file = { ino, path: 'a/b/report.pdf', size: 2 ** 40 + 5, mtimeNs: -1n, ctimeNs: 1_799_999_999_999_999_999n, handleHash: 0xfedcba98 };
  await catalog.addArchived(containers, membersOf(filesystem, [file]));

  const [row] = await catalog.filesByInode(filesystem, [ino]);
  t.like(row, { filesystem, ino, state: 'archived', size: file.size, mtimeNs: -1n, ctimeNs: file.ctimeNs, handleHash: 0xfedcba98 });
  t.deepEqual(row?.name, Buffer.from('report.pdf'));
  t.deepEqual(row?.object, objectId(ino));
  t.deepEqual(await catalog.pathOf(filesystem, ino), Buffer.from('a/b/report.pdf'));

  const object = await catalog.object(objectId(ino));
  t.like(object, { size: file.size, mtimeNs: -1n });
  t.is(object?.sha256.length, 32);
  t.deepEqual(object?.copies, [
    {
      volume: 'TAPE01L9',
      pool: 'pool-TAPE01L9',
      volumeState: 'writable',
      container: 1,
      startBlock: 0,
      offset: 0,
      length: 1024 + Math.ceil(file.size / 512) * 512,
      verified: false,
    },
  ]);
  t.deepEqual(await catalog.check(), []);
});

test('what is unknown is undefined, in its place', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 7 }]));
  const rows = await catalog.filesByInode(filesystem, [6, 7, 8]);
  t.deepEqual(rows.map((row) => row?.ino), [undefined, 7, undefined]);
  const objects = await catalog.objects([objectId(9), objectId(7)]);
  t.deepEqual(objects.map((object) => object?.id), [undefined, objectId(7)]);
  t.is(await catalog.pathOf(filesystem, 6), undefined);
});

test('inodes are found in any order, between stretches of unknown ones', async (t) => {
  const { catalog } = temporaryCatalog(t, { sliceRows: 50 });
  const { filesystem, containers } = await prepare(catalog);
  const other = await catalog.addFilesystem({ path: '/other', type: 'xfs', uuid: '11111111-2222-3333-4444-666666666666' });
  const known = new Set([3, 4, 90, 91, 92, 200, 201, 280]);
  await catalog.addArchived(containers, membersOf(filesystem, [...known].map((ino) => ({ ino }))));
  const random = seededRandom(5);
  const inos = Array.from({ length: 1000 }, () => Math.floor(random() * 300));
  const rows = await catalog.filesByInode(filesystem, inos);
  t.deepEqual(rows.map((row) => row?.ino), inos.map((ino) => (known.has(ino) ? ino : undefined)));
  t.true((await catalog.filesByInode(other.id, inos)).every((row) => row === undefined));
});

test('names that are not UTF-8, or only look so when joined, come back byte for byte', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  const paths = [
    Buffer.from([0x61, 0xc3]),
    Buffer.from([0xa9, 0x62]),
    Buffer.from('dé/ü\u{1f4be}\u{feff}x'),
    Buffer.from([0xff, 0xfe, 0x2f, 0x80]),
    Buffer.from('plain'),
  ];
  await catalog.addArchived(containers, membersOf(filesystem, paths.map((path, i) => ({ ino: 10 + i, path }))));
  for (const [i, path] of paths.entries()) t.deepEqual(await catalog.pathOf(filesystem, 10 + i), path);
  t.deepEqual(await catalog.check(), []);
});

test('two containers give every file two copies, the first container first', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog, ['TAPE01L9', 'TAPE02L9']);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 3 }, { ino: 4 }]));
  const object = await catalog.object(objectId(4));
  t.deepEqual(object?.copies.map(({ volume, offset }) => [volume, offset]), [
    ['TAPE01L9', 5120],
    ['TAPE02L9', 5120],
  ]);
  for (const usage of await catalog.volumeUsage()) t.like(usage, { objects: 2, live: 10240 });
});

test('a second pool may come with a later call', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog, ['TAPE01L9', 'TAPE02L9']);
  const members = membersOf(filesystem, [{ ino: 3 }]);
  await catalog.addArchived([containers[0] ?? 0], members);
  await catalog.moveFiles(filesystem, [{ ino: 3, to: 'stub', ctimeNs: 5n }]);
  await catalog.addArchived([containers[1] ?? 0], members);
  t.is((await catalog.object(objectId(3)))?.copies.length, 2);
  const [row] = await catalog.filesByInode(filesystem, [3]);
  t.like(row, { state: 'stub', ctimeNs: 5n });
  t.deepEqual(await catalog.check(), []);
});

test('adding the same members again changes nothing', async (t) => {
  const { catalog } = temporaryCatalog(t, { sliceRows: 10 });
  const { filesystem, containers } = await prepare(catalog);
  const files = Array.from({ length: 35 }, (_, i) => ({ ino: 100 - i }));
  // The first run died after two of four slices.
  await catalog.addArchived(containers, membersOf(filesystem, files.slice(0, 20)));
  await catalog.moveFiles(filesystem, [{ ino: 100, to: 'stub' }]);
  await catalog.addArchived(containers, membersOf(filesystem, files));
  await catalog.addArchived(containers, membersOf(filesystem, files));
  t.like(await catalog.countStates(filesystem), { archived: 34, stub: 1 });
  t.like((await catalog.volumeUsage())[0], { objects: 35, live: 35 * 5120 });
  t.deepEqual(await catalog.check(), []);
});

test('a new version leaves the old object and its copies, which no file needs any more', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 3, path: 'old-name' }, { ino: 4 }]));
  await catalog.moveFiles(filesystem, [{ ino: 3, to: 'resident' }]);
  t.like((await catalog.volumeUsage())[0], { objects: 2, live: 5120 });
  const second = await addContainer(catalog, 'TAPE01L9');
  await catalog.addArchived([second], membersOf(filesystem, [{ ino: 3, path: 'new-name', version: 1, size: 100 }]));

  const [row] = await catalog.filesByInode(filesystem, [3]);
  t.deepEqual([row?.state, row?.size, row?.object], ['archived', 100, objectId(3, 1)]);
  t.is((await catalog.object(objectId(3)))?.copies.length, 1);
  t.like((await catalog.volumeUsage())[0], { objects: 3, live: 5120 + 1536 });
  const onTape = await catalog.objectsOnVolume('TAPE01L9', null, 10);
  t.deepEqual(onTape.map(({ path }) => path?.toString() ?? null), [null, 'dir/file-4', 'new-name']);
  t.deepEqual(await catalog.check(), []);
});

test('an object that no file names any more can be given to another inode, one in use cannot', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  const original = membersOf(filesystem, [{ ino: 3 }]);
  const adopted = { ...original, ino: Float64Array.of(77) };
  await catalog.addArchived(containers, original);
  await t.throwsAsync(catalog.addArchived(containers, adopted), { code: 'BAD_OBJECT' });
  t.like(await catalog.countStates(filesystem), { archived: 1 });
  await catalog.dropFiles(filesystem, [3]);
  t.like((await catalog.volumeUsage())[0], { objects: 1, live: 0 });
  await catalog.addArchived(containers, adopted);
  t.like((await catalog.volumeUsage())[0], { objects: 1, live: 5120 });
  t.deepEqual((await catalog.filesByInode(filesystem, [3, 77])).map((row) => row?.state), [undefined, 'archived']);
  t.deepEqual(await catalog.check(), []);
});

test('an object id stands for one content: other bytes under it are refused and nothing of the slice is kept', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 3 }]));
  const wrong = membersOf(filesystem, [{ ino: 2 }, { ino: 3 }]);
  wrong.sha256[40] = (wrong.sha256[40] ?? 0) ^ 1;
  await t.throwsAsync(catalog.addArchived(containers, wrong), { code: 'BAD_OBJECT' });
  const twice = membersOf(filesystem, [{ ino: 5 }, { ino: 6 }]);
  twice.objectIds.copy(twice.objectIds, 16, 0, 16);
  await t.throwsAsync(catalog.addArchived(containers, twice), { code: 'BAD_OBJECT' });
  t.like(await catalog.countStates(filesystem), { archived: 1 });
  t.deepEqual(await catalog.check(), []);
});

test('only closed and truncated containers take copies', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem } = await prepare(catalog);
  const members = membersOf(filesystem, [{ ino: 3 }]);
  const { id } = await catalog.beginContainer('TAPE01L9', 2);
  await t.throwsAsync(catalog.addArchived([id], members), { code: 'BAD_CONTAINER' });
  await catalog.closeContainer(id, { state: 'truncated', bytes: 1, endBlock: 4, used: 4 });
  await catalog.addArchived([id], members);
  await catalog.closeContainer(id, { state: 'void', bytes: 1, endBlock: 4, used: 4 });
  await t.throwsAsync(catalog.addArchived([id], members), { code: 'BAD_CONTAINER' });
  await t.throwsAsync(catalog.addArchived([99], members), { code: 'ENOENT' });
});

test('directories made in a slice that was undone are not remembered', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 3 }]));
  const wrong = membersOf(filesystem, [{ ino: 2, path: 'new/dir/x' }, { ino: 3 }]);
  wrong.size[1] = 1;
  await t.throwsAsync(catalog.addArchived(containers, wrong), { code: 'BAD_OBJECT' });
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 4, path: 'other/x' }, { ino: 5, path: 'new/dir/y' }]));
  t.deepEqual(await catalog.pathOf(filesystem, 5), Buffer.from('new/dir/y'));
  t.deepEqual(await catalog.pathOf(filesystem, 4), Buffer.from('other/x'));
  t.deepEqual(await catalog.check(), []);
});

test('many files at once leave the same catalogue as one at a time, whatever of them is known already', async (t) => {
  const seed = Number(process.env['HSM_TEST_SEED'] ?? Date.now() % 2 ** 31);
  t.log(`HSM_TEST_SEED=${seed}`);
  const random = seededRandom(seed);
  const together = await emptyCatalogue(t);
  const apart = await emptyCatalogue(t);
  const versions = new Map<number, number>();
  for (let step = 0; step < 12; step += 1) {
    const known = random();
    const changed = random();
    const files: MemberFake[] = [];
    for (let ino = 1; ino <= 400; ino += 1) {
      if (random() < 0.3) continue;
      const version = versions.get(ino);
      if (version !== undefined && random() > known) continue;
      const next = version === undefined ? 0 : random() < changed ? version + 1 : version;
      versions.set(ino, next);
      files.push({ ino, version: next, offset: ino * 10_000, path: `d${ino % 7}/file-${ino}` });
    }
    const containers = random() < 0.3 ? [0, 1] : [step % 2];
    await together.catalog.addArchived(together.idsOf(containers), membersOf(together.filesystem, files));
    for (const file of files) await apart.catalog.addArchived(apart.idsOf(containers), membersOf(apart.filesystem, [file]));
    t.deepEqual(await together.content(), await apart.content(), `step ${step}`);
  }
  t.deepEqual(await together.catalog.check(), []);
});

test('an inode that is there twice keeps the later object', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  const files = Array.from({ length: 64 }, (_, i): MemberFake => ({ ino: 1 + (i % 60), version: Math.floor(i / 60), offset: i * 10_000 }));
  await catalog.addArchived(containers, membersOf(filesystem, files));
  const rows = await catalog.filesByInode(filesystem, [1, 4, 5]);
  t.deepEqual(rows.map((row) => row?.object), [objectId(1, 1), objectId(4, 1), objectId(5, 0)]);
  t.is((await catalog.countStates(filesystem)).archived, 60);
  t.deepEqual(await catalog.check(), []);
});

/** Two volumes, and all that a test can see of 400 inodes. */
async function emptyCatalogue(t: ExecutionContext): Promise<{ catalog: Catalog; filesystem: number; idsOf: (numbers: readonly number[]) => number[]; content: () => Promise<unknown> }> {
  const { catalog } = temporaryCatalog(t, { now: () => 0 });
  const { filesystem, containers } = await prepare(catalog, ['TAPE01L9', 'TAPE02L9']);
  const inos = Array.from({ length: 402 }, (_, ino) => ino);
  const content = async (): Promise<unknown> => {
    const files = await catalog.filesByInode(filesystem, inos);
    const paths = await Promise.all(inos.map((ino) => catalog.pathOf(filesystem, ino)));
    const objects = await catalog.objects(inos.flatMap((ino) => [0, 1, 2, 3, 4, 5].map((version) => objectId(ino, version))));
    return { files, paths, objects, usage: await catalog.volumeUsage(), states: await catalog.countStates(filesystem) };
  };
  return { catalog, filesystem, idsOf: (numbers) => numbers.map((number) => containers[number]!), content };
}
