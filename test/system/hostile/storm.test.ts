import { chmodSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { compiled } from '../../fixtures/compiled.ts';
import { kernelTest } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';
import { makeStubs, shellAs } from '../../fixtures/stubs.ts';
import { until } from '../../fixtures/until.ts';

const realTest = kernelTest(test);
/** Opens of one user at once; each is a thread. By hand: STORM=100000. */
const opens = Number(process.env['STORM'] ?? 400);
const share = 16;

realTest('a storm of opens by one user keeps another user\'s single recall waiting for no more than a share of it', async (t) => {
  t.timeout(1_800_000);
  const program = await compiled(t, 'crowd');
  const hsm = await managed(t, 'ext4', { sizeMiB: 1024, recall: `share = ${share}\nstorm_files = 100` });
  for (const folder of [dirname(program), dirname(hsm.mount)]) chmodSync(folder, 0o755);
  const files = Object.fromEntries(Array.from({ length: opens }, (_, index) => [`f${index}`, `${index}\n`.repeat(500)]));
  await makeStubs(hsm, { ...files, single: 'what the other one wants' });
  await hsm.hsm('pause', 'all');
  const storm = execa('setpriv', ['--reuid=3001', '--regid=3001', '--clear-groups', program, hsm.mount, String(opens), String(opens)], { reject: false, timeout: 1_500_000 });
  await until(async () => (await hsm.status()).recalls.queued === opens, Math.max(60_000, 20 * opens), 'a queue of all opens');
  t.like((await hsm.status()).recalls.storms, [{ uid: 3001, requests: opens }]);
  const single = shellAs(3002, 'cat "$1"', join(hsm.mount, 'single'));
  await until(async () => (await hsm.status()).recalls.queued === opens + 1);
  await hsm.hsm('resume', 'all');
  t.like(await single, { exitCode: 0, stdout: 'what the other one wants' });
  t.deepEqual(JSON.parse((await storm).stdout), { right: opens, wrong: 0, failed: 0 });
  const restored = (name: string): bigint => statSync(join(hsm.mount, name), { bigint: true }).ctimeNs;
  const before = Object.keys(files).filter((name) => restored(name) < restored('single')).length;
  t.log(`${before} of ${opens} files of the storm came before it`);
  t.true(before <= 2 * share, String(before));
  t.deepEqual((await hsm.status()).recalls.storms, []);
  const kinds = (await hsm.json('events')).map(({ kind }) => kind);
  t.true(kinds.includes('recall-storm') && kinds.includes('recall-storm-over'));
});
