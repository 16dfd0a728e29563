import test, { type ExecutionContext } from 'ava';
import { openCatalog } from '../../src/catalog/index.ts';
import type { Catalog } from '../../src/catalog/model.ts';
import { MediaFailures } from '../../src/daemon/media-failures.ts';
import type { MediaFailure } from '../../src/library/drive-pool.ts';
import { join } from 'node:path';
import { temporaryFolder } from '../fixtures/temporary.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const failure = (drive: string, volume: string): MediaFailure => ({ drive, volume, operation: 'read', code: 'EIO', message: 'cannot be read' });

interface Site {
  readonly catalog: Catalog;
  readonly down: string[];
  readonly drives: { usable: string[]; setDrive(name: string, admin: 'up' | 'down', reason: string | null): Promise<void> };
}

async function site(t: ExecutionContext): Promise<Site> {
  const catalog = openCatalog(join(await temporaryFolder(t), 'catalogue.db'));
  t.teardown(() => catalog.close());
  for (const barcode of ['A', 'B', 'C', 'D']) await catalog.addVolume({ barcode, pool: null, capacity: 1e9 });
  const down: string[] = [];
  const drives: Site['drives'] = {
    usable: ['d0', 'd1'],
    setDrive: async (name, admin, reason) => {
      down.push(`${name} ${admin}: ${reason}`);
      drives.usable = drives.usable.filter((each) => each !== name);
    },
  };
  return { catalog, down, drives };
}

test('a volume that failed in two drives becomes suspect, with the reason, also when a restart came between', async (t) => {
  const { catalog, drives, down } = await site(t);
  await (await MediaFailures.open(catalog, log)).add(failure('d0', 'A'), drives);
  t.like(await catalog.volume('A'), { state: 'scratch', reason: null });
  await (await MediaFailures.open(catalog, log)).add(failure('d1', 'A'), drives);
  t.like(await catalog.volume('A'), { state: 'suspect', reason: 'it failed in d0 and d1' });
  t.deepEqual(down, []);
  t.deepEqual((await catalog.events(10)).map(({ kind }) => kind), ['volume-suspect', 'media-failure', 'media-failure']);
});

test('a drive in which three volumes failed is set down, with the reason; the last one goes on', async (t) => {
  const { catalog, drives, down } = await site(t);
  const failures = await MediaFailures.open(catalog, log);
  for (const volume of ['A', 'B', 'C']) await failures.add(failure('d0', volume), drives);
  t.deepEqual(down, ['d0 down: 3 volumes failed in it and in no other: A, B, C']);
  t.is((await catalog.volume('A'))?.state, 'scratch');
  for (const volume of ['D', 'B', 'C', 'A']) await failures.add(failure('d1', volume), drives);
  t.is(down.length, 1);
});

test('what somebody has judged already stays as it is', async (t) => {
  const { catalog, drives } = await site(t);
  await catalog.setVolume('A', { state: 'failed', reason: 'eaten' });
  const failures = await MediaFailures.open(catalog, log);
  await failures.add(failure('d0', 'A'), drives);
  await failures.add(failure('d1', 'A'), drives);
  t.like(await catalog.volume('A'), { state: 'failed', reason: 'eaten' });
});

test('a failure that cannot be recorded fails nothing', async (t) => {
  const { catalog, drives } = await site(t);
  const failures = await MediaFailures.open(catalog, log);
  await catalog.close();
  await t.notThrowsAsync(failures.add(failure('d0', 'A'), drives));
});
