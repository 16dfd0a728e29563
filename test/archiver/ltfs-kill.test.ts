/** kill -9 of the archiver on LTFS: its ltfs lives on, and the next daemon takes the drive over from it. */
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { execa } from 'execa';
import type { Order } from '../fixtures/archive-child.ts';
import { checkInvariants, originalsOf } from '../fixtures/archive-invariants.ts';
import { makeGround, openGround, type ArchivingOptions } from '../fixtures/archiving.ts';
import type { KillAt } from '../fixtures/kill-step.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes } from '../fixtures/random.ts';

const root = kernelTest(test.serial as typeof test);
const child = fileURLToPath(new URL('../fixtures/archive-child.ts', import.meta.url));
const mib = 2 ** 20;
const options: ArchivingOptions = { ltfs: true, pools: ['first', 'second'], containerSize: 2 * mib, cartridges: 3, capacity: 256 * mib };

const kills: readonly KillAt[] = [
  { name: 'catalog.beginContainer after', nth: 1 },
  { name: 'write after', nth: 3 },
  { name: 'sync before', nth: 1 },
  { name: 'sync after', nth: 2 },
  { name: 'read', nth: 4 },
  { name: 'catalog.closeContainer after', nth: 1 },
  { name: 'catalog.markVerified before', nth: 1 },
  { name: 'catalog.addArchived after', nth: 1 },
  { name: 'evict during', nth: 1 },
];

root('a run killed at any step loses nothing, and the next one goes on', async (t) => {
  t.timeout(300_000);
  const ground = await makeGround(t, 'ext4', options);
  const originals = new Map<string, string>();
  for (const [round, killAt] of kills.entries()) {
    mkdirSync(join(ground.mount, `${round}`));
    const paths = Array.from({ length: 8 }, (_, i) => `${round}/${i}`);
    for (const [i, path] of paths.entries()) {
      writeFileSync(join(ground.mount, path), seededBytes(100 * round + i, mib / 2 + i));
      utimesSync(join(ground.mount, path), 1_400_000_000, 1_400_000_000);
    }
    for (const [path, hash] of originalsOf(ground.mount, paths)) originals.set(path, hash);
    const order: Order = { ground, options, killAt };
    const { signal, stderr } = await execa(process.execPath, [child, JSON.stringify(order)], { timeout: 60_000, reject: false });
    t.is(signal, 'SIGKILL', `the run was not killed at ${killAt.name}, time ${killAt.nth}: ${stderr}`);
    const teardowns: (() => unknown)[] = [];
    const site = await openGround({ teardown: (down) => void teardowns.unshift(down) }, ground, options);
    try {
      const { stubs, resident } = await checkInvariants(site, originals, { copies: 2 });
      t.log(`${killAt.name}: ${stubs} stubs, ${resident} on disk`);
    } finally {
      for (const down of teardowns) await down();
    }
  }
  const site = await openGround(t, ground, options);
  t.is((await site.archive()).failed, 0);
  t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: originals.size, resident: 0 });
});
