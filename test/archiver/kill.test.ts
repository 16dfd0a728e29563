/** kill -9 at any moment: every file is there or on tape for good, and a rerun finishes the job. */
import { spawn } from 'node:child_process';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { checkInvariants, originalsOf } from '../fixtures/archive-invariants.ts';
import { makeGround, openGround, type ArchivingOptions, type Ground } from '../fixtures/archiving.ts';
import { filesystemTypes, kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes, seededRandom } from '../fixtures/random.ts';

const root = kernelTest(test.serial as typeof test);
const child = fileURLToPath(new URL('../fixtures/archive-child.ts', import.meta.url));
const options: ArchivingOptions = { pools: ['first', 'second'], containerSize: 2 ** 20, cartridges: 8, capacity: 2 ** 29 };
const rounds = 8;
const filesPerRound = 120;

/** Resolves with whether it was killed, `ms` after it began its run. */
async function killAfter(ground: Ground, ms: number): Promise<boolean> {
  const running = spawn(process.execPath, [child, JSON.stringify({ ground, options })], { stdio: ['ignore', 'pipe', 'inherit'], timeout: 60_000 });
  const ended = new Promise<boolean>((resolve) => running.once('exit', (_code, signal) => resolve(signal === 'SIGKILL')));
  await new Promise((resolve) => running.stdout.once('data', resolve));
  await sleep(ms);
  running.kill('SIGKILL');
  return ended;
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
  root(`${type}: a killed run loses nothing and the next one goes on`, async (t) => {
    const ground = await makeGround(t, type, { ...options, sizeMiB: 384 });
    const random = seededRandom(type.length * 7);
    const originals = new Map<string, string>();
    let killed = 0;
    const stubs: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      for (const [path, hash] of makeFiles(ground.mount, round, random)) originals.set(path, hash);
      if (await killAfter(ground, Math.floor(random() * 1200))) killed += 1;
      const teardowns: (() => unknown)[] = [];
      const site = await openGround({ teardown: (down) => void teardowns.unshift(down) }, ground, options);
      try {
        stubs.push((await checkInvariants(site, originals, { copies: 2 })).stubs);
      } finally {
        for (const down of teardowns) await down();
      }
    }
    t.true(killed > 0, 'no run was killed on its way');
    const site = await openGround(t, ground, options);
    t.is((await site.archive()).failed, 0);
    t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: originals.size, resident: 0 });
    const { stub, archived, archiving } = await site.catalog.countStates(site.context.filesystem.row.id);
    t.deepEqual({ stub, archived, archiving }, { stub: originals.size, archived: 0, archiving: 0 });
    t.log(`${killed} of ${rounds} runs were killed; stubs after each: ${stubs.join(' ')}`);
  });
}
