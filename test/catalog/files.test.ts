import test, { type ExecutionContext } from 'ava';
import { fileMoves, type Catalog, type FileState } from '../../src/catalog/model.ts';
import { membersOf, prepare, temporaryCatalog } from '../fixtures/catalogue.ts';

/** How to get from 'archived', the state files enter with, to each state. */
const ways: Record<FileState, readonly FileState[]> = {
  archived: [],
  stub: ['stub'],
  resident: ['resident'],
  archiving: ['resident', 'archiving'],
  recalling: ['stub', 'recalling'],
};

const states = Object.keys(fileMoves) as FileState[];

async function withFile(t: ExecutionContext, state: FileState): Promise<{ catalog: Catalog; filesystem: number }> {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 5 }, { ino: 6 }]));
  for (const to of ways[state]) await catalog.moveFiles(filesystem, [{ ino: 5, to }]);
  return { catalog, filesystem };
}

const movesAsTold = test.macro({
  async exec(t: ExecutionContext, from: FileState) {
    for (const to of states) {
      const { catalog, filesystem } = await withFile(t, from);
      const moving = catalog.moveFiles(filesystem, [{ ino: 5, to, ctimeNs: 42n }]);
      const legal = (fileMoves[from] as readonly FileState[]).includes(to);
      if (legal) await moving;
      else await t.throwsAsync(moving, { code: 'BAD_MOVE' });
      const [row] = await catalog.filesByInode(filesystem, [5]);
      t.is(row?.state, legal ? to : from, `${from} -> ${to}`);
      t.is(row?.ctimeNs === 42n, legal);
      t.deepEqual(await catalog.check(), [], `${from} -> ${to}`);
      await catalog.close();
    }
  },
  title: (_, from) => `a file that is ${from} moves only as the table says, and the counts follow`,
});

for (const from of states) test(movesAsTold, from);

test('a bad move undoes its slice; the slices before it stay', async (t) => {
  const { catalog } = temporaryCatalog(t, { sliceRows: 3 });
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, Array.from({ length: 9 }, (_, i) => ({ ino: i + 1 }))));
  const moves = [1, 2, 3, 4, 5, 5, 7, 8, 9].map((ino) => ({ ino, to: 'stub' as const }));
  await t.throwsAsync(catalog.moveFiles(filesystem, moves), { code: 'BAD_MOVE', message: /inode 5 .* from stub to stub/ });
  const rows = await catalog.filesByInode(filesystem, [1, 2, 3, 4, 5, 7, 8, 9]);
  t.deepEqual(rows.map((row) => row?.state), ['stub', 'stub', 'stub', ...Array.from({ length: 5 }, () => 'archived' as const)]);
  t.like(await catalog.countStates(filesystem), { archived: 6, stub: 3 });
});

test('a file that the catalogue does not know cannot move', async (t) => {
  const { catalog, filesystem } = await withFile(t, 'archived');
  await t.throwsAsync(catalog.moveFiles(filesystem, [{ ino: 999, to: 'archived' }]), { code: 'BAD_MOVE' });
  await t.throwsAsync(catalog.moveFiles(filesystem + 1, [{ ino: 5, to: 'stub' }]), { code: 'BAD_MOVE' });
});

test('a bad move among the calls of one turn fails alone', async (t) => {
  const { catalog, filesystem } = await withFile(t, 'archived');
  const results = await Promise.allSettled([
    catalog.moveFiles(filesystem, [{ ino: 5, to: 'stub' }]),
    catalog.moveFiles(filesystem, [{ ino: 6, to: 'recalling' }]),
    catalog.moveFiles(filesystem, [{ ino: 5, to: 'recalling' }]),
    catalog.logEvent('after', null, {}),
  ]);
  t.deepEqual(results.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
  const rows = await catalog.filesByInode(filesystem, [5, 6]);
  t.deepEqual(rows.map((row) => row?.state), ['recalling', 'archived']);
  t.is((await catalog.events(1))[0]?.kind, 'after');
});

test('a dropped file is forgotten; its object stays and nothing needs it', async (t) => {
  const { catalog, filesystem } = await withFile(t, 'stub');
  const [before] = await catalog.filesByInode(filesystem, [5]);
  await catalog.dropFiles(filesystem, [5, 4711, 5]);
  t.deepEqual(await catalog.filesByInode(filesystem, [5]), [undefined]);
  t.is((await catalog.object(before?.object ?? Buffer.alloc(16)))?.copies.length, 1);
  t.like(await catalog.countStates(filesystem), { archived: 1, stub: 0 });
  t.like((await catalog.volumeUsage())[0], { objects: 2, live: 5120 });
  t.deepEqual(await catalog.check(), []);
});

test('files in a state are found however many others there are, up to the limit', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  const files = Array.from({ length: 45_000 }, (_, i) => ({ ino: i + 1 }));
  await catalog.addArchived(containers, membersOf(filesystem, files));
  await catalog.moveFiles(filesystem, [10, 21_000, 44_999].map((ino) => ({ ino, to: 'stub' as const })));
  await catalog.moveFiles(filesystem, [{ ino: 21_000, to: 'recalling' }]);
  const inosIn = async (state: FileState, limit: number): Promise<number[]> => (await catalog.filesInState(filesystem, state, limit)).map(({ ino }) => ino);
  t.deepEqual(await inosIn('stub', 100), [10, 44_999]);
  t.deepEqual(await inosIn('stub', 1), [10]);
  t.deepEqual(await inosIn('recalling', 100), [21_000]);
  t.deepEqual(await inosIn('resident', 100), []);
  t.is((await inosIn('archived', 30_000)).length, 30_000);
  t.is((await inosIn('archived', 1e9)).length, 44_997);
  t.like(await catalog.countStates(filesystem), { archived: 44_997, stub: 2, recalling: 1, resident: 0, archiving: 0 });
});

test('filesystems keep their files apart', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  const other = await catalog.addFilesystem({ path: '/other', type: 'xfs', uuid: 'other' });
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 5, path: 'd/here' }]));
  await catalog.addArchived(containers, membersOf(other.id, [{ ino: 5, path: 'd/there', version: 1, offset: 10_000 }]));
  await catalog.moveFiles(other.id, [{ ino: 5, to: 'stub' }]);
  t.deepEqual(await catalog.pathOf(filesystem, 5), Buffer.from('d/here'));
  t.deepEqual(await catalog.pathOf(other.id, 5), Buffer.from('d/there'));
  t.like(await catalog.countStates(filesystem), { archived: 1, stub: 0 });
  t.like(await catalog.countStates(other.id), { archived: 0, stub: 1 });
  t.deepEqual(await catalog.check(), []);
});

test('a filesystem that is mounted elsewhere keeps its number', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const first = await catalog.addFilesystem({ path: '/data', type: 'ext4', uuid: 'u' });
  const again = await catalog.addFilesystem({ path: '/srv/data', type: 'ext4', uuid: 'u' });
  t.is(again.id, first.id);
  t.deepEqual(await catalog.filesystems(), [{ id: first.id, path: '/srv/data', type: 'ext4', uuid: 'u' }]);
});
