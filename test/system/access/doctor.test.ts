import { chmodSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { jsonLines } from '../../fixtures/hsm.ts';
import { kernelTest } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';

const realTest = kernelTest(test);

realTest('doctor --deep tries every access path in a folder of its own, says what is refused and why, and leaves nothing', async (t) => {
  t.timeout(300_000);
  const hsm = await managed(t, 'ext4', { sizeMiB: 1024 });
  for (const path of [join(hsm.mount, '..'), hsm.mount]) chmodSync(path, 0o755);
  const before = readdirSync(hsm.mount);
  const { exitCode, stdout, stderr } = await hsm.hsm('doctor', '--json', '--deep', hsm.mount);
  t.is(exitCode, 0, stderr + stdout);
  const rows = jsonLines(stdout);
  t.true(rows.length > 200);
  t.deepEqual([...new Set(rows.map(({ user }) => user))].sort(), ['nobody', 'root']);
  t.deepEqual(rows.filter(({ result }) => result !== 'right' && result !== 'refused'), []);
  t.deepEqual(rows.filter(({ result, meaning }) => (result === 'refused') !== (meaning !== null)), []);
  t.deepEqual(readdirSync(hsm.mount), before);
});

realTest('doctor --deep refuses folders that hsm does not manage', async (t) => {
  const hsm = await managed(t, 'ext4');
  const { exitCode, stderr } = await hsm.hsm('doctor', '--deep', hsm.folder);
  t.is(exitCode, 1);
  t.regex(stderr, /is on no managed filesystem/);
  await hsm.stopDaemon();
  t.is((await hsm.hsm('doctor', '--deep', hsm.mount)).exitCode, 4);
});
