import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { compiled } from '../../fixtures/compiled.ts';
import { kernelTest } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';
import { makeStubs, read } from '../../fixtures/stubs.ts';

const realTest = kernelTest(test);
/** More than the keeper has reader threads at first. */
const leases = Number(process.env['LEASES'] ?? 24);

realTest('leases that a user holds on his files keep nobody else waiting', async (t) => {
  const hsm = await managed(t, 'ext4');
  const held = Array.from({ length: leases }, (_, index) => join(hsm.mount, `held${index}`));
  for (const path of held) writeFileSync(path, 'resident');
  // The leases are taken while nobody guards: else the keeper has been asked about these files already.
  await hsm.stopDaemon();
  const leaser = execa(await compiled(t, 'leaser'), held, { stdin: 'pipe', reject: false, timeout: 120_000 });
  await new Promise((resolve) => leaser.stdout.once('data', resolve));
  await hsm.startDaemon();
  const [first = '', second = ''] = await makeStubs(hsm, { first: 'the first', second: 'the second' });
  // The fd of an event breaks the file's lease, and waits for it.
  const startedAt = performance.now();
  let served = 0;
  const stalled = held.map((path) => read(path).finally(() => (served += 1)));
  t.is((await read(first)).stdout, 'the first');
  const firstMs = performance.now() - startedAt;
  t.is((await read(second)).stdout, 'the second');
  t.log(JSON.stringify({ leases, firstMs, secondMs: performance.now() - startedAt - firstMs}));
  t.is(served, 0, 'no lease was in the way');
  leaser.stdin.end();
  for (const reader of stalled) t.is((await reader).stdout, 'resident');
});
