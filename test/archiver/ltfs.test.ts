/** Law 2 on LTFS: whatever it does to what was written, no file is released that is not on a volume for good, and the run goes on with another one. */
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { VolumeState } from '../../src/catalog/model.ts';
import { errorCode } from '../../src/errors.ts';
import { Faults, type Fault, type FaultyOperation } from '../../src/media/decorators/with-faults.ts';
import { checkInvariants, originalsOf, type Originals } from '../fixtures/archive-invariants.ts';
import { archiving, type Archiving } from '../fixtures/archiving.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { crashLtfs, makeTrouble, type LtfsFaults } from '../fixtures/ltfs/index.ts';
import { seededBytes } from '../fixtures/random.ts';

const root = kernelTest(test.serial as typeof test);
const mib = 2 ** 20;
const options = { ltfs: true, containerSize: 4 * mib, cartridges: 3, capacity: 96 * mib };

/** 24 files of half a MiB: three containers. */
function makeFiles(site: Archiving, folder = 'cold'): Originals {
  mkdirSync(join(site.mount, folder));
  const paths = Array.from({ length: 24 }, (_, i) => `${folder}/${i}`);
  for (const [i, path] of paths.entries()) {
    writeFileSync(join(site.mount, path), seededBytes(i + 1, mib / 2 + i));
    utimesSync(join(site.mount, path), 1_400_000_000, 1_400_000_000);
  }
  return originalsOf(site.mount, paths);
}

/** The volume that is written to first. */
const firstVolume = 'V00001L9';
const folderOf = (site: Archiving, barcode: string): string => join(site.libraryDir, 'cartridges', barcode);

interface Trouble {
  readonly faults: LtfsFaults;
  /** What becomes of the volume, and what its reason says. */
  readonly state: VolumeState;
  readonly reason: RegExp | null;
}

function troubled(title: string, { faults, state, reason }: Trouble): void {
  root(`trouble: ${title}`, async (t) => {
    const site = await archiving(t, 'ext4', options);
    const originals = makeFiles(site);
    makeTrouble(folderOf(site, firstVolume), faults);
    const summary = await site.archive();
    t.like(summary, { archived: originals.size, released: originals.size, failed: 0 }, 'the run went on with another volume');
    const volume = await site.catalog.volume(firstVolume);
    t.is(volume?.state, state, volume?.reason ?? '');
    if (reason !== null) t.regex(volume?.reason ?? '', reason);
    makeTrouble(folderOf(site, firstVolume), {});
    await reloadAll(site);
    t.deepEqual(await checkInvariants(site, originals), { stubs: originals.size, resident: 0 });
  });
}

troubled('data that LTFS cut short and reported as written', { faults: { shortWrites: true }, state: 'suspect', reason: /did not come back|ends after/ });
troubled('an index that cannot be written', { faults: { syncFails: true }, state: 'suspect', reason: /cannot write the index.*EIO/ });
troubled('an order to write the index that does nothing', { faults: { syncIdle: true }, state: 'suspect', reason: /its generation is 2 as before|its generation is \d+ as before/ });
troubled('writes that fail', { faults: { writeError: true }, state: 'suspect', reason: /EIO/ });
troubled('data that cannot be read back', { faults: { readError: true }, state: 'suspect', reason: /EIO/ });
troubled('a volume that falls to read-only in the middle', { faults: { readOnlyAfter: 6 * mib }, state: 'readonly', reason: /LTFS takes no writes for it \(EROFS\)/ });
troubled('a volume that was read-only from the first write on', { faults: { readOnlyAfter: 0 }, state: 'readonly', reason: null });
troubled('a volume that is full before it said so, and loses the tail', { faults: { earlyEnd: 90 * mib, lostTail: 1.5 * mib }, state: 'full', reason: null });
troubled('an ltfs that takes its time to end', { faults: { lateExitMs: 500 }, state: 'writable', reason: null });
troubled('an index that can be ordered by setting the attribute', { faults: { settableSync: true }, state: 'writable', reason: null });

root('when no volume is left, the run stops with one line, and nothing was released', async (t) => {
  const site = await archiving(t, 'ext4', options);
  const originals = makeFiles(site);
  for (const { barcode } of await site.catalog.volumes()) makeTrouble(folderOf(site, barcode), { syncFails: true });
  const error = await t.throwsAsync(site.archive());
  t.is(errorCode(error), 'NO_VOLUME');
  t.notRegex(error?.message ?? '\n', /\n/);
  t.deepEqual(await checkInvariants(site, originals), { stubs: 0, resident: originals.size });
});

root('what is archived with --keep-data was read back, too', async (t) => {
  const site = await archiving(t, 'ext4', options);
  const originals = makeFiles(site);
  makeTrouble(folderOf(site, firstVolume), { shortWrites: true });
  t.like(await site.archive({ keepData: true }), { archived: originals.size, released: 0 });
  for (const { containers } of await Promise.all((await site.catalog.volumes()).map(async ({ barcode }) => ({ containers: await site.catalog.containers(barcode) })))) {
    for (const { state, verified } of containers) t.true(state === 'void' || verified);
  }
  t.like(await site.release(), { released: originals.size });
  t.deepEqual(await checkInvariants(site, originals), { stubs: originals.size, resident: 0 });
});

/** Kills ltfs before or after the n-th operation of a kind. */
class Crash extends Faults {
  left = 0;
  readonly operation: FaultyOperation;
  readonly when: 'before' | 'after';
  kill: () => Promise<void> = async () => undefined;

  constructor(operation: FaultyOperation, when: 'before' | 'after') {
    super();
    this.operation = operation;
    this.when = when;
  }

  override next(): Fault | null {
    return null;
  }

  override async around<T>(operation: FaultyOperation, action: () => Promise<T>): Promise<T> {
    const strikes = operation === this.operation && (this.left -= 1) === 0;
    if (strikes && this.when === 'before') await this.kill();
    const result = await action();
    if (strikes && this.when === 'after') await this.kill();
    return result;
  }
}

function crashes(operation: FaultyOperation, when: 'before' | 'after', counts: readonly number[]): void {
  root(`an ltfs that crashes ${when} a ${operation} loses no file that was released`, async (t) => {
    t.timeout(200_000);
    const faults = new Crash(operation, when);
    const site = await archiving(t, 'ext4', { ...options, cartridges: counts.length + 1, faults });
    let originals = new Map<string, string>();
    for (const n of counts) {
      originals = new Map([...originals, ...makeFiles(site, `${operation}-${n}`)]);
      let killed = 0;
      faults.left = n;
      faults.kill = async () => {
        killed += 1;
        await crashLtfs(join(site.libraryDir, 'mounts', 'drive0')).catch(() => crashLtfs(join(site.libraryDir, 'mounts', 'drive1')));
      };
      await site.archive().catch((error: unknown) => t.log(`${operation} ${n}: ${(error as Error).message}`));
      t.is(killed, 1);
      faults.left = 0;
      await reloadAll(site);
      const found = await checkInvariants(site, originals);
      t.log(`${operation} ${n}: ${found.stubs} stubs, ${found.resident} on disk`);
    }
    t.is((await site.archive()).failed, 0);
    t.deepEqual(await checkInvariants(site, originals), { stubs: originals.size, resident: 0 });
  });
}

crashes('write', 'before', [1, 4, 9]);
crashes('write', 'after', [3, 6]);
crashes('sync', 'before', [1, 3]);
crashes('sync', 'after', [1, 2, 4]);

/** What is on tape is what the next ltfs finds there. */
async function reloadAll(site: Archiving): Promise<void> {
  const { drives } = await site.library.inventory();
  for (const { name } of drives) await site.drives.setDrive(name, 'down', 'test');
  for (const { name } of drives) await site.drives.setDrive(name, 'up', null);
}
