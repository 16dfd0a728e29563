import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openCatalog } from '../../src/catalog/index.ts';
import { MediaFailures } from '../../src/daemon/media-failures.ts';
import { MediaHealth } from '../../src/daemon/media-health.ts';
import { usedDrives, usedVolumes } from '../../src/daemon/media-use.ts';
import type { ToldByDrive } from '../../src/library/drive-examiner.ts';
import { MediaCounters } from '../../src/library/media-counters.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

async function site(t: ExecutionContext) {
  const catalog = openCatalog(join(await temporaryFolder(t), 'catalogue.db'));
  t.teardown(() => catalog.close());
  for (const barcode of ['A', 'B', 'C']) await catalog.addVolume({ barcode, pool: null, capacity: 1e9 });
  const counters = new MediaCounters(catalog, (drive) => `SN-${drive}`);
  const failures = await MediaFailures.open(catalog, log);
  const cleaning: string[] = [];
  const down: string[] = [];
  const drives = {
    usable: ['d0', 'd1'],
    setDrive: async (name: string, _: string, reason: string | null) => {
      down.push(`${name}: ${reason}`);
    },
  };
  const open = (): MediaHealth => new MediaHealth({ catalog, counters, failures, log, driveKey: (drive) => `SN-${drive}`, onCleaning: (drive, reason) => cleaning.push(`${drive}: ${reason}`) });
  const health = open();
  const tell = (drive: string, volume: string, moment: ToldByDrive['moment'], alerts: number[], corrected = 0, by = health): Promise<void> =>
    by.told(
      { drive, volume, moment, wantsCleaning: false, report: { alerts, readErrors: { corrected }, writeErrors: null, device: { loads: 5 }, volume: { mounts: 9 }, medium: { serial: 'X' } } },
      drives,
    );
  const kinds = async (): Promise<string[]> => (await catalog.events(100)).map(({ kind }) => kind).reverse();
  return { catalog, counters, health, open, tell, cleaning, down, drives, kinds };
}

test('a volume that its drive calls damaged is suspect, with the name of the flag', async (t) => {
  const { catalog, tell, kinds } = await site(t);
  await tell('d0', 'A', 'unloading', [4]);
  t.like(await catalog.volume('A'), { state: 'suspect', reason: 'TapeAlert 4 (Media) in d0' });
  t.deepEqual(await kinds(), ['tape-alert', 'media-failure', 'volume-suspect']);
});

test('a drive that calls volume after volume damaged, which no other does, is not believed any more and set down', async (t) => {
  const { catalog, tell, down } = await site(t);
  for (const volume of ['A', 'B']) {
    await tell('d0', volume, 'unloading', [4]);
    await tell('d0', volume, 'loaded', []);
  }
  await tell('d0', 'C', 'unloading', [4]);
  t.like(await catalog.volume('C'), { state: 'scratch' });
  t.deepEqual(down, ['d0: 3 volumes failed in it and in no other: A, B, C']);
});

test('a failure that may be of either is judged by its history, as read failures are', async (t) => {
  const { catalog, tell } = await site(t);
  await tell('d0', 'A', 'unloading', [5]);
  t.like(await catalog.volume('A'), { state: 'scratch' });
  await tell('d1', 'A', 'unloading', [5]);
  t.like(await catalog.volume('A'), { state: 'suspect', reason: 'it failed in d0 and d1' });
});

test('a drive that calls itself broken is set down, and no volume is blamed', async (t) => {
  const { catalog, tell, down } = await site(t);
  await tell('d0', 'A', 'loaded', [30]);
  t.deepEqual(down, ['d0: TapeAlert 30 (Hardware A)']);
  t.like(await catalog.volume('A'), { state: 'scratch' });
});

test('a flag that stays set counts once, for the volume that it came up with, also after a restart', async (t) => {
  const { catalog, open, tell, cleaning, kinds } = await site(t);
  await tell('d0', 'A', 'unloading', [4, 20]);
  await tell('d0', 'B', 'loaded', [4, 20]);
  await tell('d0', 'B', 'unloading', [4, 20], 0, open());
  t.deepEqual(cleaning, ['d0: TapeAlert 20 (Cleaning required)']);
  t.like(await catalog.volume('B'), { state: 'scratch' });
  t.is((await kinds()).filter((kind) => kind === 'tape-alert').length, 2);
  await tell('d0', 'B', 'loaded', []);
  await tell('d0', 'B', 'unloading', [20]);
  t.is(cleaning.length, 2);
});

test('flags that only inform are written down, and nothing follows', async (t) => {
  const { catalog, tell, cleaning, down, kinds } = await site(t);
  await tell('d0', 'A', 'loaded', [19, 36]);
  t.deepEqual([cleaning, down, await kinds()], [[], [], ['tape-alert', 'tape-alert']]);
  t.like(await catalog.volume('A'), { state: 'scratch' });
});

test('errors that the drive got over are counted by mount, whether it counts from the load or from its first day', async (t) => {
  const { catalog, counters, tell } = await site(t);
  await tell('d0', 'A', 'loaded', [], 100);
  await tell('d0', 'A', 'unloading', [], 130);
  await tell('d0', 'A', 'loaded', [], 130);
  await tell('d0', 'A', 'unloading', [], 4);
  await tell('d0', 'A', 'unloading', [], 4);
  await counters.flush();
  for (const kind of ['drive', 'volume']) t.is((await catalog.mediaUse()).find((use) => use.kind === kind)?.softReadErrors, 34);
});

test('what was told last is shown with drive and volume', async (t) => {
  const { catalog, counters, tell } = await site(t);
  await tell('d0', 'A', 'unloading', [19]);
  const parts = { catalog, counters, log, library: { serials: new Map([['d0', 'SN-d0']]) } };
  const [drive, other] = await usedDrives(parts, [{ name: 'd0' }, { name: 'd1' }]);
  t.like(drive, { serial: 'SN-d0', use: null, health: { moment: 'unloading', volume: 'A', device: { loads: 5 } } });
  t.deepEqual(drive?.health?.alerts?.map(({ name }) => name), ['Nearing media life']);
  t.deepEqual([other?.serial, other?.use, other?.health], [null, null, null]);
  const [volume] = await usedVolumes(parts, [{ barcode: 'A' }]);
  t.like(volume?.health, { drive: 'd0', volume: { mounts: 9 }, medium: { serial: 'X' } });
});

test('a drive that goes on asking to be cleaned is listened to once, and again when it had stopped', async (t) => {
  const { health, cleaning, drives } = await site(t);
  const tells = (wantsCleaning: boolean): Promise<void> => health.told({ drive: 'd0', volume: 'A', moment: 'loaded', wantsCleaning, report: null }, drives);
  for (const wants of [true, true, false, true, true]) await tells(wants);
  t.deepEqual(cleaning, ['d0: the drive asks for it', 'd0: the drive asks for it']);
});

test('a flag that was set before a report without flags is nobody else\'s fault', async (t) => {
  const { catalog, health, tell, drives } = await site(t);
  await tell('d0', 'A', 'unloading', [4]);
  await health.told({ drive: 'd0', volume: 'B', moment: 'loaded', wantsCleaning: false, report: { alerts: null, readErrors: null, writeErrors: null, device: { loads: 6 }, volume: null, medium: null } }, drives);
  await tell('d0', 'C', 'loaded', [4]);
  t.deepEqual(await Promise.all(['A', 'B', 'C'].map(async (name) => (await catalog.volume(name))?.state)), ['suspect', 'scratch', 'scratch']);
});
