import test from 'ava';
import { openCatalog } from '../../src/catalog/index.ts';
import { fileMoves, type FileState } from '../../src/catalog/model.ts';
import { addContainer, membersOf, objectId, prepare, temporaryCatalog } from '../fixtures/catalogue.ts';

/** What the catalogue ought to say of a file. */
interface Expected {
  state: FileState;
  version: number;
}

function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

for (const seed of [1, 2, 3]) {
  test(`after any mixture of calls the catalogue says what a simple model says (seed ${seed})`, async (t) => {
    const random = randomFrom(seed);
    const { catalog: first, path } = temporaryCatalog(t, { sliceRows: 7 });
    let catalog = first;
    const { filesystem } = await prepare(catalog, ['TAPE01L9', 'TAPE02L9']);
    const files = new Map<number, Expected>();
    const versions = new Map<number, number>();
    const some = (): number[] => [...new Set(Array.from({ length: 1 + random(15) }, () => 1 + random(60)))];

    for (let step = 0; step < 80; step++) {
      const choice = random(10);
      if (choice < 4) {
        const containers = [await addContainer(catalog, 'TAPE01L9'), await addContainer(catalog, 'TAPE02L9')].slice(0, 1 + random(2));
        const inos = some();
        for (const ino of inos) {
          versions.set(ino, (versions.get(ino) ?? 0) + 1);
          files.set(ino, { state: 'archived', version: versions.get(ino) ?? 0 });
        }
        const members = membersOf(filesystem, inos.map((ino) => ({ ino, version: versions.get(ino) ?? 0, path: `d${random(5)}/${ino}` })));
        await catalog.addArchived(containers, members);
        if (random(3) === 0) await catalog.addArchived(containers, members);
        if (random(6) === 0) await catalog.closeContainer(containers[0] ?? 0, { state: 'void', bytes: 0, endBlock: 1, used: 1 });
      } else if (choice < 8) {
        for (const ino of some()) {
          const file = files.get(ino);
          if (file === undefined) continue;
          const tos = fileMoves[file.state];
          const to = tos[random(tos.length)] ?? 'archived';
          await catalog.moveFiles(filesystem, [{ ino, to }]);
          file.state = to;
        }
      } else if (choice === 8) {
        const inos = some();
        await catalog.dropFiles(filesystem, inos);
        for (const ino of inos) files.delete(ino);
      } else {
        await catalog.close();
        catalog = openCatalog(path, { sliceRows: 7 });
      }
      if (step % 10 === 0) t.deepEqual(await catalog.check(), [], `step ${step}`);
    }

    const inos = Array.from({ length: 60 }, (_, i) => i + 1);
    const rows = await catalog.filesByInode(filesystem, inos);
    for (const [i, ino] of inos.entries()) {
      const expected = files.get(ino);
      const row = rows[i];
      t.deepEqual(row && [row.state, row.object], expected && [expected.state, objectId(ino, expected.version)], `inode ${ino}`);
    }
    const counts = await catalog.countStates(filesystem);
    for (const [state, count] of Object.entries(counts)) t.is(count, [...files.values()].filter((file) => file.state === state).length, state);
    t.deepEqual(await catalog.check(), []);
    await catalog.close();
  });
}
