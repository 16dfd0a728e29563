/** Who may take a group over, and when: never two readers of one group, never two groups, whoever is slow, stopped or hidden. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { execa } from 'execa';
import { compiled } from '../fixtures/compiled.ts';
import { cat, guarded, isRight, keeperCommand, keeperProcesses, limit, startCat, stub, text, workerPid, type Guarded } from '../fixtures/keeper.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { until } from '../fixtures/until.ts';

const realTest = kernelTest(test);
const relay = fileURLToPath(new URL('../fixtures/relay.py', import.meta.url));

const pidOf = async ({ state }: Guarded, isWitness: boolean): Promise<number> =>
  until(() => keeperProcesses(state).find((each) => each.isWitness === isWitness)?.pid);

realTest('a daemon started by hand is refused while a stopped witness holds the group, and spoils nothing', async (t) => {
  const place = await guarded(t, 'ext4');
  const path = stub(place.mount, 'stub');
  const keeper = await place.start({ DELAY: '1000' });
  const witness = await pidOf(place, true);
  const worker = await workerPid(keeper);
  const reader = startCat(path);
  await keeper.saw(/^event/);
  // Stopped, the worker leaves no heir.
  for (const pid of [witness, worker]) process.kill(pid, 'SIGSTOP');
  for (const pid of [place.keeperPid(), worker]) process.kill(pid, 'SIGKILL');
  // A process that was killed holds its locks for a moment yet.
  await until(async () => (await execa('flock', ['-n', join(place.state, 'lock'), 'true'], { reject: false, timeout: limit })).exitCode === 0);
  try {
    const [command = '', ...words] = keeperCommand(place.state, place.mount);
    const second = await execa(command, words, { reject: false, timeout: 30_000 });
    t.is(second.exitCode, 5);
    t.regex(second.stderr, new RegExp(`^hsm: .* guarded already, .* process ${witness} \\(hsm-keeper\\) .*$`));
  } finally {
    process.kill(witness, 'SIGCONT');
  }
  const { stdout, stderr } = await reader;
  t.is(text(stderr), '');
  t.true(isRight(stdout));
});

realTest('a denier whose socket was removed is relieved all the same', async (t) => {
  const place = await guarded(t, 'ext4');
  const path = stub(place.mount, 'stub');
  t.is(await (await place.start()).stop(), 0);
  await until(() => existsSync(join(place.state, 'takeover')));
  rmSync(join(place.state, 'takeover'));
  await place.start();
  t.true(isRight((await cat(path)).stdout));
});

realTest('a successor reads nothing of the group before its last reader has ended', async (t) => {
  const place = await guarded(t, 'ext4');
  const path = stub(place.mount, 'stub');
  t.is(await (await place.start()).stop(), 0);
  const denier = await pidOf(place, false);
  await until(() => existsSync(join(place.state, 'takeover')));
  const between = execa('python3', [relay, join(place.state, 'takeover')], { reject: false, timeout: limit });
  t.teardown(() => between.kill());
  let words = '';
  between.stdout.on('data', (chunk: Buffer) => (words += chunk.toString()));
  const said = (word: string): Promise<boolean> => until(() => words.includes(word));
  await said('taken');
  process.kill(denier, 'SIGSTOP');
  try {
    between.stdin.write('\n');
    await said('listens');
    const successor = await place.start({}, /waits for the end of process/);
    t.regex(successor.lines.join('\n'), new RegExp(`process ${denier}, `));
    const reader = cat(path);
    process.kill(denier, 'SIGCONT');
    await successor.saw(/^ready$/);
    // The denier may have been asked first.
    const { stdout, stderr } = await reader;
    t.true(isRight(stdout) || (stdout.length === 0 && /temporarily unavailable/.test(text(stderr))));
    t.true(isRight((await cat(path)).stdout));
  } finally {
    process.kill(denier, 'SIGCONT');
  }
});

realTest('a reader whose event got lost in a thread that stands still is sent away by a clean stop', async (t) => {
  const place = await guarded(t, 'ext4');
  const path = stub(place.mount, 'stub');
  const stall = join(place.state, 'stall');
  const keeper = await place.start({ LD_PRELOAD: await compiled(t, 'stall', 'library'), STALL: stall });
  writeFileSync(stall, '');
  const reader = cat(path);
  await until(() => existsSync(`${stall}.stalled`));
  t.is(await keeper.stop(), 0);
  const { stdout, stderr } = await reader;
  t.is(stdout.length, 0);
  t.regex(text(stderr), /temporarily unavailable/);
});
