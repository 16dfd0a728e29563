/** kill -9 of the keeper and of whoever stands by it: readers wait and get their file, whichever of them survives. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { cat, guarded, isRight, keeperCommand, keeperProcesses, limit, startKeeper, stub, text, workerPid, type Guarded, type RunningKeeper } from '../fixtures/keeper.ts';
import { filesystemTypes, kernelTest } from '../fixtures/loopfs.ts';

const realTest = kernelTest(test);
const manager = fileURLToPath(new URL('../fixtures/fake-manager.py', import.meta.url));
const readers = 12;

type Victim = 'keeper' | 'worker' | 'witness';

async function witnessOf(place: Guarded): Promise<number> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(5)) {
    const keeper = place.keeperPid();
    const witness = keeperProcesses(place.state).find((each) => each.isWitness && each.parent === keeper);
    if (witness !== undefined) return witness.pid;
  }
  throw new Error('the keeper has no witness');
}

/** Readers of stubs of their own wait while `victims` are killed in one moment; resolves when all of them have ended. */
async function killWhileReading(t: ExecutionContext, place: Guarded, start: () => Promise<RunningKeeper>, victims: readonly Victim[]): Promise<RunningKeeper> {
  // Before the keeper starts: files made by others than hsm are resident to it.
  const paths = Array.from({ length: readers }, (_, index) => stub(place.mount, `stub${index}`, 10_000 + index));
  const later = stub(place.mount, 'later');
  const keeper = await start();
  const pids = { keeper: place.keeperPid(), worker: await workerPid(keeper), witness: await witnessOf(place) };
  const running = paths.map((path) => cat(path));
  await keeper.saw(/^event/, readers);
  for (const victim of victims) process.kill(pids[victim], 'SIGKILL');
  for (const [index, reader] of (await Promise.all(running)).entries()) {
    t.is(text(reader.stderr), '');
    t.true(isRight(reader.stdout, 10_000 + index));
  }
  t.not(place.keeperPid(), pids.keeper);
  t.true(isRight((await cat(later)).stdout));
  t.not(await witnessOf(place), pids.witness);
  return keeper;
}

for (const type of filesystemTypes) {
  realTest(`on ${type} readers survive the keeper's kill -9`, async (t) => {
    const place = await guarded(t, type);
    await killWhileReading(t, place, () => place.start({ DELAY: '800' }), ['keeper']);
  });

  realTest(`on ${type} readers survive the kill -9 of keeper and daemon at once`, async (t) => {
    const place = await guarded(t, type);
    await killWhileReading(t, place, () => place.start({ DELAY: '800' }), ['keeper', 'worker']);
  });

  realTest(`on ${type} readers survive the kill -9 of keeper and witness at once`, async (t) => {
    const place = await guarded(t, type);
    await killWhileReading(t, place, () => place.start({ DELAY: '800' }), ['witness', 'keeper']);
  });
}

realTest('readers survive keeper after keeper', async (t) => {
  const place = await guarded(t, 'ext4');
  const path = stub(place.mount, 'stub');
  const keeper = await place.start({ DELAY: '1500' });
  const reader = cat(path);
  for (let round = 1; round <= 4; round += 1) {
    await keeper.saw(/^event/, round);
    await witnessOf(place);
    process.kill(place.keeperPid(), 'SIGKILL');
  }
  t.true(isRight((await reader).stdout));
});

realTest('a killed witness is replaced', async (t) => {
  const place = await guarded(t, 'ext4');
  await place.start();
  const first = await witnessOf(place);
  process.kill(first, 'SIGKILL');
  for (const deadline = Date.now() + 20_000; (await witnessOf(place)) === first && Date.now() < deadline; ) await sleep(10);
  t.not(await witnessOf(place), first);
});

realTest('a killed denier is replaced', async (t) => {
  const place = await guarded(t, 'ext4');
  const path = stub(place.mount, 'stub');
  t.is(await (await place.start()).stop(), 0);
  const denier = (): number | undefined => keeperProcesses(place.state).find((each) => !each.isWitness)?.pid;
  const first = denier();
  if (first === undefined) throw new Error('there is no denier');
  process.kill(first, 'SIGKILL');
  const denied = await cat(path);
  t.is(denied.stdout.length, 0);
  t.regex(text(denied.stderr), /temporarily unavailable/);
  await place.start();
  t.true(isRight((await cat(path)).stdout));
});

realTest('a denier that loses its witness gets another one', async (t) => {
  const place = await guarded(t, 'ext4');
  const path = stub(place.mount, 'stub');
  t.is(await (await place.start()).stop(), 0);
  const pidOf = (witness: boolean): number => keeperProcesses(place.state).find((each) => each.isWitness === witness)?.pid ?? 0;
  const first = pidOf(true);
  process.kill(first, 'SIGKILL');
  for (const deadline = Date.now() + 20_000; [0, first].includes(pidOf(true)) && Date.now() < deadline; ) await sleep(10);
  process.kill(pidOf(false), 'SIGKILL');
  const denied = await cat(path);
  t.is(denied.stdout.length, 0);
  t.regex(text(denied.stderr), /temporarily unavailable/);
});

realTest("an event never gets a number that its keeper's heirs need for themselves", async (t) => {
  const place = await guarded(t, 'ext4');
  const path = stub(place.mount, 'stub');
  t.is(await (await place.start()).stop(), 0);
  // Taken over from a denier, and with a daemon and a witness that were replaced: fds were closed on the way.
  const keeper = await place.start({ DELAY: '800' });
  process.kill(await workerPid(keeper), 'SIGKILL');
  await workerPid(keeper, 2);
  const witness = await witnessOf(place);
  process.kill(witness, 'SIGKILL');
  for (const deadline = Date.now() + 20_000; (await witnessOf(place)) === witness && Date.now() < deadline; ) await sleep(10);
  const reader = cat(path);
  await keeper.saw(/^event/);
  process.kill(await witnessOf(place), 'SIGKILL');
  process.kill(place.keeperPid(), 'SIGKILL');
  const { stdout, stderr } = await reader;
  t.is(text(stderr), '');
  t.true(isRight(stdout));
});

/** Starts the keeper under a service manager that keeps its fds. */
async function startManaged(t: ExecutionContext, { mount, state }: Guarded, env: Record<string, string>): Promise<RunningKeeper> {
  const start = fileURLToPath(new URL('../fixtures/stored-keeper.ts', import.meta.url));
  return startKeeper(t, ['/usr/bin/env', 'python3', manager, join(state, 'notify'), process.execPath, start, ...keeperCommand(state, mount)], env);
}

for (const victims of [['keeper'], ['keeper', 'worker'], ['keeper', 'worker', 'witness']] as const) {
  realTest(`under a service manager readers survive the kill -9 of ${victims.join(' and ')}`, async (t) => {
    const place = await guarded(t, 'ext4');
    const keeper = await killWhileReading(t, place, () => startManaged(t, place, { DELAY: '800' }), victims);
    await keeper.saw(/^stored hsm-table$/, 2);
    await keeper.saw(/^failed -9$/);
    await keeper.saw(/^main/, 2);
  });
}

realTest('a clean stop without stubs leaves nothing in the fd store', async (t) => {
  const place = await guarded(t, 'ext4');
  writeFileSync(join(place.mount, 'resident'), 'here');
  const keeper = await startManaged(t, place, { STUBS_LEFT: '0' });
  t.is(await keeper.stop(), 0);
  await keeper.saw(/^removed hsm-group$/);
  await keeper.saw(/^removed hsm-table$/);
});

realTest('nothing is left when a keeper that was taken over stops', async (t) => {
  const place = await guarded(t, 'ext4');
  const keeper = await place.start({ STUBS_LEFT: '0' });
  const first = place.keeperPid();
  await witnessOf(place);
  process.kill(first, 'SIGKILL');
  await keeper.saw(/^ready$/, 2);
  process.kill(place.keeperPid(), 'SIGTERM');
  for (const deadline = Date.now() + 20_000; keeperProcesses(place.state).length > 0 && Date.now() < deadline; ) await sleep(20);
  t.deepEqual(keeperProcesses(place.state), []);
  t.is((await execa('findmnt', ['-n', place.mount], { timeout: limit })).exitCode, 0);
});
