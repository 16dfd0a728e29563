import test from 'ava';
import { volumeMoves, type VolumeState } from '../../src/catalog/model.ts';
import { addContainer, membersOf, prepare, temporaryCatalog } from '../fixtures/catalogue.ts';

test('a volume enters as scratch, with nothing on it', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const row = await catalog.addVolume({ barcode: '948324L8', pool: null, capacity: 12e12 });
  t.like(row, { barcode: '948324L8', pool: null, state: 'scratch', reason: null, capacity: 12e12, used: 0, live: 0, objects: 0, endBlock: 0, lastWrittenAt: null });
  t.deepEqual(await catalog.volumes(), [row]);
  t.deepEqual(await catalog.volume('948324L8'), row);
  t.is(await catalog.volume('nothing'), undefined);
});

test('a barcode is known once, and fits a stub record', async (t) => {
  const { catalog } = temporaryCatalog(t);
  await catalog.addVolume({ barcode: 'A', pool: 'p', capacity: 1 });
  await t.throwsAsync(catalog.addVolume({ barcode: 'A', pool: 'q', capacity: 1 }), { code: 'EEXIST', message: /A/ });
  for (const barcode of ['', 'NINECHARS', 'a b', 'é']) {
    await t.throwsAsync(catalog.addVolume({ barcode, pool: null, capacity: 1 }), { code: 'EINVAL' }, barcode);
  }
  await t.throwsAsync(catalog.setVolume('B', { used: 1 }), { code: 'NO_VOLUME' });
});

test('setVolume changes what is given; the reason belongs to the state', async (t) => {
  const { catalog } = temporaryCatalog(t);
  await catalog.addVolume({ barcode: 'A', pool: null, capacity: 100 });
  await catalog.setVolume('A', { state: 'writable', pool: 'p', used: 30, endBlock: 4 });
  await catalog.setVolume('A', { state: 'suspect', reason: 'read errors' });
  t.like(await catalog.volume('A'), { state: 'suspect', reason: 'read errors', pool: 'p', used: 30, endBlock: 4 });
  await catalog.setVolume('A', { state: 'suspect', used: 31 });
  t.like(await catalog.volume('A'), { reason: 'read errors', used: 31 });
  await catalog.setVolume('A', { state: 'readonly' });
  t.like(await catalog.volume('A'), { state: 'readonly', reason: null });
});

test('a volume moves only as the table says', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const states = Object.keys(volumeMoves) as VolumeState[];
  let n = 0;
  for (const from of states) {
    for (const to of states) {
      const barcode = `V${++n}`;
      await catalog.addVolume({ barcode, pool: null, capacity: 1 });
      if (from !== 'scratch') await catalog.setVolume(barcode, { state: 'exported' });
      if (from !== 'scratch' && from !== 'exported') await catalog.setVolume(barcode, { state: from });
      const legal = from === to || (volumeMoves[from] as readonly VolumeState[]).includes(to);
      if (legal) await catalog.setVolume(barcode, { state: to });
      else await t.throwsAsync(catalog.setVolume(barcode, { state: to }), { code: 'BAD_MOVE' });
      t.is((await catalog.volume(barcode))?.state, legal ? to : from, `${from} -> ${to}`);
    }
  }
});

test('a volume that holds an object never becomes scratch, needed or not', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 1 }]));
  await catalog.dropFiles(filesystem, [1]);
  await t.throwsAsync(catalog.setVolume('TAPE01L9', { state: 'scratch' }), { code: 'REFUSED' });
  t.is((await catalog.volume('TAPE01L9'))?.state, 'writable');
});

test('containers are numbered from 1 on each volume, and closing one moves the end of the volume', async (t) => {
  let clock = 1000;
  const { catalog } = temporaryCatalog(t, { now: () => clock++ });
  await catalog.addVolume({ barcode: 'A', pool: 'p', capacity: 1e6 });
  await catalog.addVolume({ barcode: 'B', pool: 'p', capacity: 1e6 });
  const first = await catalog.beginContainer('A', 3);
  const second = await catalog.beginContainer('A', 30);
  const other = await catalog.beginContainer('B', 3);
  t.deepEqual([first.number, second.number, other.number], [1, 2, 1]);
  t.deepEqual(first, { id: first.id, volume: 'A', number: 1, startBlock: 3, bytes: 0, state: 'writing', verified: false, verifiedAt: null });
  t.is((await catalog.volume('A'))?.lastWrittenAt, null);
  await catalog.closeContainer(first.id, { state: 'closed', bytes: 777, endBlock: 9, used: 888 });
  t.like(await catalog.volume('A'), { endBlock: 9, used: 888, lastWrittenAt: 1000 });
  await catalog.closeContainer(second.id, { state: 'void', bytes: 0, endBlock: 9, used: 900 });
  t.like(await catalog.volume('A'), { used: 900, lastWrittenAt: 1000 });
  t.deepEqual((await catalog.containers('A')).map(({ number, state, bytes }) => [number, state, bytes]), [
    [1, 'closed', 777],
    [2, 'void', 0],
  ]);
  await t.throwsAsync(catalog.closeContainer(second.id, { state: 'closed', bytes: 0, endBlock: 9, used: 9 }), { code: 'BAD_MOVE' });
  await t.throwsAsync(catalog.beginContainer('C', 0), { code: 'NO_VOLUME' });
  await t.throwsAsync(catalog.closeContainer(99, { state: 'closed', bytes: 0, endBlock: 9, used: 9 }), { code: 'ENOENT' });
  t.is((await catalog.beginContainer('A', 9)).number, 3);
});

test('verified is what was read back, container by container', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog, ['TAPE01L9', 'TAPE02L9']);
  const members = membersOf(filesystem, [{ ino: 1 }]);
  await catalog.addArchived(containers, members);
  await catalog.markVerified([containers[1] ?? 0]);
  const object = await catalog.object(members.objectIds.subarray(0, 16));
  t.deepEqual(object?.copies.map(({ verified }) => verified), [false, true]);
  const { id } = await catalog.beginContainer('TAPE01L9', 2);
  await t.throwsAsync(catalog.markVerified([containers[0] ?? 0, id]), { code: 'BAD_CONTAINER' });
  t.deepEqual((await catalog.containers('TAPE01L9')).map(({ verified }) => verified), [false, false]);
});

test('a container that becomes void takes its copies out of sight and off the counts', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog, ['TAPE01L9', 'TAPE02L9']);
  const members = membersOf(filesystem, [{ ino: 1 }, { ino: 2 }]);
  await catalog.addArchived(containers, members);
  await catalog.closeContainer(containers[0] ?? 0, { state: 'void', bytes: 1, endBlock: 2, used: 2 });
  const object = await catalog.object(members.objectIds.subarray(0, 16));
  t.deepEqual(object?.copies.map(({ volume }) => volume), ['TAPE02L9']);
  t.deepEqual(await catalog.objectsOnVolume('TAPE01L9', null, 10), []);
  t.deepEqual((await catalog.volumeUsage()).map(({ live, objects }) => [live, objects]), [
    [0, 0],
    [10240, 2],
  ]);
  await catalog.moveFiles(filesystem, [{ ino: 1, to: 'resident' }]);
  await catalog.dropFiles(filesystem, [2]);
  t.deepEqual((await catalog.volumeUsage()).map(({ live, objects }) => [live, objects]), [
    [0, 0],
    [0, 2],
  ]);
  t.deepEqual(await catalog.check(), []);
});

test('objects of a volume come in tape order, page by page, and none twice', async (t) => {
  const { catalog } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog, ['TAPE01L9', 'TAPE02L9']);
  const second = await addContainer(catalog, 'TAPE01L9');
  const empty = await addContainer(catalog, 'TAPE01L9');
  const third = await addContainer(catalog, 'TAPE01L9');
  const inos = (from: number): { ino: number; path: string }[] => Array.from({ length: 7 }, (_, i) => ({ ino: from - i, path: `d/${from - i}` }));
  await catalog.addArchived([third], membersOf(filesystem, inos(100)));
  await catalog.addArchived([containers[0] ?? 0, containers[1] ?? 0], membersOf(filesystem, inos(200)));
  await catalog.addArchived([second], membersOf(filesystem, inos(300)));
  t.true(empty > 0);

  const seen: string[] = [];
  let after: { container: number; offset: number } | null = null;
  for (;;) {
    const page = await catalog.objectsOnVolume('TAPE01L9', after, 4);
    const last = page.at(-1);
    if (last === undefined) break;
    t.true(page.length <= 4);
    t.true(page.every(({ copy }) => copy.volume === 'TAPE01L9'));
    seen.push(...page.map(({ path }) => String(path)));
    after = { container: last.copy.container, offset: last.copy.offset };
  }
  t.deepEqual(seen, [...inos(200), ...inos(300), ...inos(100)].map(({ path }) => path));
});
