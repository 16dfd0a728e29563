/** kill -9 at every named step: each file is there or on tape for good, and a rerun finishes the job. */
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { execa } from 'execa';
import type { Order } from '../fixtures/archive-child.ts';
import { checkInvariants, originalsOf } from '../fixtures/archive-invariants.ts';
import { makeGround, openGround, type ArchivingOptions, type Ground } from '../fixtures/archiving.ts';
import type { KillAt, StepCounts } from '../fixtures/kill-step.ts';
import { filesystemTypes, kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes, seededRandom } from '../fixtures/random.ts';

const root = kernelTest(test.serial as typeof test);
const child = fileURLToPath(new URL('../fixtures/archive-child.ts', import.meta.url));
const options: ArchivingOptions = { pools: ['first', 'second'], containerSize: 2 ** 20, cartridges: 8, capacity: 2 ** 29 };
const filesPerRound = 60;

/** Null when it was killed, as it must be when it is to be. */
async function archiveInChild(ground: Ground, killAt: KillAt | null): Promise<StepCounts | null> {
  const order: Order = { ground, options, killAt };
  const { exitCode, signal, stdout, stderr } = await execa(process.execPath, [child, JSON.stringify(order)], { timeout: 60_000, reject: false });
  if (exitCode === 0) return JSON.parse(stdout) as StepCounts;
  if (signal === 'SIGKILL') return null;
  throw new Error(`the run ended with ${exitCode ?? signal}: ${stderr}`);
}

function makeFiles(mount: string, round: number, random: () => number): Map<string, string> {
  mkdirSync(join(mount, `r${round}`));
  const paths = Array.from({ length: filesPerRound }, (_, i) => `r${round}/${i}`);
  for (const [i, path] of paths.entries()) {
    writeFileSync(join(mount, path), seededBytes(round * 1000 + i, 1 + Math.floor(random() * 60_000)));
    utimesSync(join(mount, path), 1_400_000_000, 1_400_000_000);
  }
  return originalsOf(mount, paths);
}

for (const type of filesystemTypes) {
  root(`${type}: a run killed at any step loses nothing and the next one goes on`, async (t) => {
    t.timeout(300_000);
    const ground = await makeGround(t, type, { ...options, sizeMiB: 384 });
    const random = seededRandom(type.length * 7);
    const originals = new Map<string, string>();
    const addFiles = (round: number): void => makeFiles(ground.mount, round, random).forEach((hash, path) => originals.set(path, hash));
    // The first run brings the cartridges to the drives, where the killed ones find them; the second tells the steps.
    addFiles(0);
    await archiveInChild(ground, null);
    addFiles(1);
    const steps = Object.entries((await archiveInChild(ground, null)) ?? {});
    t.true(steps.length > 20);
    const stubs: string[] = [];
    for (const [round, [name, count]] of steps.entries()) {
      addFiles(round + 2);
      const nth = 1 + Math.floor(random() * count);
      t.is(await archiveInChild(ground, { name, nth }), null, `the run was not killed at step ${name}, time ${nth} of ${count}`);
      const teardowns: (() => unknown)[] = [];
      const site = await openGround({ teardown: (down) => void teardowns.unshift(down) }, ground, options);
      try {
        stubs.push(`${name} ${(await checkInvariants(site, originals, { copies: 2 })).stubs}`);
      } finally {
        for (const down of teardowns) await down();
      }
    }
    const site = await openGround(t, ground, options);
    t.is((await site.archive()).failed, 0);
    t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: originals.size, resident: 0 });
    const { stub, archived, archiving } = await site.catalog.countStates(site.context.filesystem.row.id);
    t.deepEqual({ stub, archived, archiving }, { stub: originals.size, archived: 0, archiving: 0 });
    t.log(`stubs after a kill at: ${stubs.join(', ')}`);
  });
}
