/** The catalogue is lost: it is made again from the cartridges and the stubs, and every file comes back. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { openCatalog } from '../../src/catalog/index.ts';
import { killAt, type Moment } from '../fixtures/kill-at.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { bin, managed, type Managed } from '../fixtures/managed.ts';
import { factsOf, makeTree } from '../fixtures/tree.ts';

const root = kernelTest(test);
const mib = 2 ** 20;

const catalogueOf = (site: Managed): string => join(site.folder, 'state', 'catalogue.db');

function loseCatalogue(site: Managed): void {
  for (const name of readdirSync(join(site.folder, 'state'))) if (name.startsWith('catalogue')) rmSync(join(site.folder, 'state', name));
}

root('without its catalogue a filesystem of stubs is made whole by rebuild, and reads as it did', async (t) => {
  const site = await managed(t, 'ext4');
  makeTree(site.mount, { folders: 2, filesPerFolder: 45, biggest: 6 * mib });
  const before = factsOf(site.mount);
  const archived = await site.hsm('archive', '--older-than', '1y', site.mount);
  t.is(archived.exitCode, 0, archived.stderr);
  const listed = await site.hsm('ls', '-lR', site.mount);

  const running = await site.hsm('rebuild', '--from-tapes', '--replace');
  t.is(running.exitCode, 5);
  t.regex(running.stderr, /a daemon runs/);
  await site.stopDaemon();
  const there = await site.hsm('rebuild', '--from-tapes');
  t.is(there.exitCode, 5);
  t.regex(there.stderr, /--replace/);
  t.is((await site.hsm('rebuild')).exitCode, 2);
  t.is((await site.hsm('rebuild', '--from-tapes', '--from-stubs')).exitCode, 2);

  loseCatalogue(site);
  const rebuilt = await site.hsm('rebuild', '--from-tapes');
  t.is(rebuilt.exitCode, 0, rebuilt.stdout + rebuilt.stderr);
  t.regex(rebuilt.stdout, /rebuilt from \d+ volumes and catalogue-\d+T\d+Z\.db: \d+ files, \d+ stubs seen/);
  const doctor = await site.hsm('doctor');
  t.notRegex(doctor.stdout, /catalogue.*(damaged|wrong)/i);
  await site.startDaemon();
  t.is((await site.hsm('ls', '-lR', site.mount)).stdout, listed.stdout);
  t.deepEqual(factsOf(site.mount), before);

  // From the stubs alone, with the catalogue in its place; recalls then come from what only the tapes told.
  await site.hsm('release', site.mount);
  await site.stopDaemon();
  const again = await site.json('rebuild', '--from-stubs', '--replace');
  const summary = again.at(-1) as { summary: boolean; kept: string; lost: number; dump: null };
  t.like(summary, { summary: true, lost: 0, dump: null });
  t.true(existsSync(summary.kept));
  const kept = openCatalog(summary.kept);
  t.deepEqual(await kept.check(), []);
  await kept.close();
  await site.startDaemon();
  t.deepEqual(factsOf(site.mount), before);
});

root('killed at any moment, rebuild leaves the old catalogue, none, or a whole new one', async (t) => {
  const site = await managed(t, 'ext4');
  makeTree(site.mount, { folders: 1, filesPerFolder: 60, biggest: 2 * mib });
  t.is((await site.hsm('archive', '--older-than', '1y', site.mount)).exitCode, 0);
  await site.stopDaemon();
  const state = join(site.folder, 'state');
  const old = readFileSync(catalogueOf(site));
  const files = await countOf(site);
  const kill = await killAt(t, 'rebuild --from-tapes');
  /** True when it was killed before it was done. */
  const killed = async (moment: Moment, replace: boolean): Promise<boolean> => {
    loseCatalogue(site);
    if (replace) writeFileSync(catalogueOf(site), old);
    kill.arm(moment);
    const { signal, exitCode, stderr } = await execa(bin, ['--config', site.config, 'rebuild', '--from-tapes', ...(replace ? ['--replace'] : [])], { reject: false, timeout: 240_000, env: kill.env });
    if (!kill.struck()) t.is(exitCode, 0, stderr);
    else t.is(signal, 'SIGKILL');
    if (replace) t.true(existsSync(catalogueOf(site)), 'there is always one');
    if (existsSync(catalogueOf(site))) t.is(await countOf(site), files);
    return kill.struck();
  };
  const moments = { writing: 0, placing: 0 };
  for (const n of [1, 30, 100]) if (await killed({ when: 'after', call: 'pwrite', path: '.rebuild', n }, false)) moments.writing += 1;
  for (let n = 1; await killed({ when: 'before', call: 'fsync', path: 'hsm-managed', n }, true); n += 1) moments.placing += 1;
  t.true(moments.writing >= 2 && moments.placing >= 4, JSON.stringify(moments));
  t.is((await site.hsm('rebuild', '--from-tapes', '--replace')).exitCode, 0);
  t.deepEqual(readdirSync(state).filter((name) => name.includes('.rebuild')), []);
});

async function countOf(site: Managed): Promise<number> {
  const catalog = openCatalog(catalogueOf(site));
  try {
    const problems = await catalog.check();
    if (problems.length > 0) throw new Error(problems.join('\n'));
    const [filesystem] = await catalog.filesystems();
    return (await catalog.countStates(filesystem!.id)).stub;
  } finally {
    await catalog.close();
  }
}
