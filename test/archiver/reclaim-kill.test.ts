/** kill -9 of a reclaim at every named step, and the n-th failing operation of a medium: every object stays where the catalogue says that it is. */
import { mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { execa } from 'execa';
import { HsmError } from '../../src/errors.ts';
import { Faults } from '../../src/media/decorators/with-faults.ts';
import type { Order } from '../fixtures/archive-child.ts';
import { checkInvariants, originalsOf } from '../fixtures/archive-invariants.ts';
import { makeGround, openGround, type Archiving, type ArchivingOptions, type Ground } from '../fixtures/archiving.ts';
import type { KillAt, StepCounts } from '../fixtures/kill-step.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes, seededRandom } from '../fixtures/random.ts';
import { reclaim, volumesOf } from '../fixtures/reclaiming.ts';

const root = kernelTest(test.serial as typeof test);
const child = fileURLToPath(new URL('../fixtures/reclaim-child.ts', import.meta.url));
const options: ArchivingOptions = { pools: ['first', 'second'], containerSize: 2 ** 19, cartridges: 12, capacity: 2 ** 26 };
const filesPerRound = 20;

/** Null when it was killed, as it must be when it is to be. */
async function reclaimInChild(ground: Ground, killAt: KillAt | null): Promise<StepCounts | null> {
  const order: Order = { ground, options, killAt };
  const { exitCode, signal, stdout, stderr } = await execa(process.execPath, [child, JSON.stringify(order)], { timeout: 60_000, reject: false });
  if (exitCode === 0) return JSON.parse(stdout) as StepCounts;
  if (signal === 'SIGKILL') return null;
  throw new Error(`the run ended with ${exitCode ?? signal}: ${stderr}`);
}

/** New files that are archived; every fourth of them is removed again, and so are those of the round before the last. */
async function round(site: Archiving, number: number, originals: Map<string, string>, random: () => number): Promise<void> {
  mkdirSync(join(site.mount, `r${number}`));
  const paths = Array.from({ length: filesPerRound }, (_, i) => `r${number}/${i}`);
  for (const [i, path] of paths.entries()) {
    writeFileSync(join(site.mount, path), seededBytes(number * 1000 + i, 1 + Math.floor(random() * 40_000)));
    utimesSync(join(site.mount, path), 1_400_000_000, 1_400_000_000);
  }
  for (const [path, hash] of originalsOf(site.mount, paths)) originals.set(path, hash);
  if ((await site.archive()).failed > 0) throw new Error('files were not archived');
  const gone = [...paths.filter((_, i) => i % 4 === 0), ...[...originals.keys()].filter((path) => path.startsWith(`r${number - 2}/`))];
  const inos = gone.map((path) => statSync(join(site.mount, path)).ino);
  for (const path of gone) {
    rmSync(join(site.mount, path));
    originals.delete(path);
  }
  await site.catalog.dropFiles(site.context.filesystem.row.id, inos);
}

async function onSite<T>(ground: Ground, use: (site: Archiving) => Promise<T>, faults?: Faults): Promise<T> {
  const teardowns: (() => unknown)[] = [];
  const site = await openGround({ teardown: (down) => void teardowns.unshift(down) }, ground, { ...options, ...(faults === undefined ? {} : { faults }) });
  try {
    return await use(site);
  } finally {
    for (const down of teardowns) await down();
  }
}

root('a reclaim killed at any step loses nothing and the next one goes on', async (t) => {
  t.timeout(300_000);
  const ground = await makeGround(t, 'ext4', { ...options, sizeMiB: 256 });
  const random = seededRandom(11);
  const originals = new Map<string, string>();
  await onSite(ground, (site) => round(site, 0, originals, random));
  const steps = Object.entries((await reclaimInChild(ground, null)) ?? {});
  await onSite(ground, (site) => round(site, 1, originals, random));
  t.true(steps.length > 15, `${steps.length} steps`);
  t.true(steps.some(([name]) => name.startsWith('catalog.scratchVolume')));
  t.true(steps.some(([name]) => name.startsWith('catalog.dropExpiredCopies')));
  for (const [number, [name, count]] of steps.entries()) {
    const nth = 1 + Math.floor(random() * count);
    t.is(await reclaimInChild(ground, { name, nth }), null, `the run was not killed at step ${name}, time ${nth} of ${count}`);
    await onSite(ground, async (site) => {
      await checkInvariants(site, originals, { copies: 2, places: 'any' });
      const { summary } = await reclaim(site, { barcodes: await volumesOf(site, 'first'), endedBefore: Date.now() + 1000 });
      t.is(summary.failed, 0, name);
      t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: originals.size, resident: 0 }, name);
      await round(site, number + 2, originals, random);
    });
  }
  t.log(steps.map(([name, count]) => `${name} x${count}`).join(', '));
});

for (const operation of ['read', 'write', 'sync', 'locate', 'load'] as const) {
  root(`the n-th ${operation} fails: everything that is needed has its copies, and a rerun ends it`, async (t) => {
    t.timeout(300_000);
    const ground = await makeGround(t, 'ext4', { ...options, sizeMiB: 256 });
    const random = seededRandom(operation.length);
    const originals = new Map<string, string>();
    for (const nth of [1, 2, 5]) {
      await onSite(ground, (site) => round(site, nth, originals, random));
      const faults = new Faults().failNth(operation, nth);
      await onSite(ground, async (site) => {
        await reclaim(site, { barcodes: await volumesOf(site, 'first'), endedBefore: Date.now() + 1000 }).catch((error: unknown) => t.true(error instanceof HsmError, String(error)));
      }, faults);
      await onSite(ground, async (site) => {
        // What a failing drive brought upon its volumes an operator takes back.
        for (const { barcode, state } of await site.catalog.volumes()) if (state === 'suspect') await site.catalog.setVolume(barcode, { state: 'readonly' });
        await checkInvariants(site, originals, { copies: 2, places: 'any' });
        const { summary } = await reclaim(site, { barcodes: await volumesOf(site, 'first'), endedBefore: Date.now() + 1000 });
        t.is(summary.failed, 0);
        t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: originals.size, resident: 0 });
      });
    }
  });
}
