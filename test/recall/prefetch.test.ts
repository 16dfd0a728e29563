import test, { type ExecutionContext } from 'ava';
import { hastyClock } from '../fixtures/hasty-clock.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { recallBench, type RecallBench } from '../fixtures/recall-bench.ts';
import { until } from '../fixtures/until.ts';

const realTest = kernelTest(test);
const files = Number(process.env['WALK'] ?? 300);
const names = Array.from({ length: files }, (_, index) => `f${String(index).padStart(5, '0')}`);

/** One file after the other, as grep -r does; seconds of tape for all. */
async function walk(t: ExecutionContext, prefetch: number): Promise<{ seconds: number; asked: number; bench: RecallBench }> {
  const clock = hastyClock();
  const bench = await recallBench(t, Object.fromEntries(names.map((name, index) => [name, 2000 + index])), { prefetch, timing: 'lto9', clock });
  const startedAt = clock.now();
  let asked = 0;
  for (const name of names) {
    // Who reads what is on disk already waits for nobody.
    if (bench.isWhole(name)) continue;
    asked += 1;
    t.is(await bench.open(name, 1000 + asked).answer, null);
    t.true(bench.isWhole(name), name);
  }
  return { seconds: (clock.now() - startedAt) / 1000, asked, bench };
}

realTest('who reads one file after the other gets them ten times as fast when they are recalled ahead', async (t) => {
  const alone = await walk(t, 0);
  const ahead = await walk(t, 512);
  t.log(`${files} files: ${alone.seconds.toFixed(0)} s of tape one by one (${alone.asked} asked), ${ahead.seconds.toFixed(0)} s ahead (${ahead.asked} asked)`);
  t.is(alone.asked, files);
  t.true(ahead.seconds * 10 <= alone.seconds, `${ahead.seconds} of ${alone.seconds}`);
});

realTest('a few files of a tape are no walk, and nothing is brought along without being told to', async (t) => {
  for (const prefetch of [0, 512]) {
    const bench = await recallBench(t, Object.fromEntries(names.slice(0, 20).map((name) => [name, 3000])), { prefetch });
    for (const name of names.slice(0, 7)) t.is(await bench.open(name).answer, null);
    t.true(names.slice(7, 20).every((name) => bench.isStub(name)));
    await bench.open(names[7] ?? '').answer;
    if (prefetch > 0) await until(() => names.slice(8, 20).every((name) => bench.isWhole(name)));
    else t.true(names.slice(8, 20).every((name) => bench.isStub(name)));
  }
});

const small = Object.fromEntries(names.slice(0, 60).map((name) => [name, 5000]));
const aheadOf = ({ recaller }: RecallBench): string[] => recaller.rows(null).flatMap(({ id, state, waiters }) => (waiters.length === 0 && state !== 'failed' ? [id] : []));

/** Eight readers wait while all recalls are paused, and `count` files are queued ahead of them. */
async function walkers(t: ExecutionContext, bench: RecallBench, count: number): Promise<ReturnType<RecallBench['open']>[]> {
  bench.recaller.pause({ kind: 'all' }, null);
  const readers = names.slice(0, 8).map((name) => bench.open(name));
  await until(() => aheadOf(bench).length === count);
  t.is(bench.recaller.counts().waiting, 0);
  return readers;
}

const anyone = { name: 'few', programs: [], uids: [], gids: [], cgroups: [], per: 'user', concurrent: null, filesPerHour: null, bytesPerHour: null, action: 'delay' } as const;

for (const [what, limit, ahead] of [
  ['files an hour', { filesPerHour: 20 }, 12],
  ['bytes an hour', { bytesPerHour: 100_000 }, 12],
  ['recalls at a time', { concurrent: 30 }, 22],
] as const) {
  realTest(`a limit of ${what} holds for what is recalled ahead, and nothing of that waits`, async (t) => {
    const bench = await recallBench(t, small, { prefetch: 512, gate: { limits: [{ ...anyone, ...limit }] } });
    const readers = await walkers(t, bench, ahead);
    bench.recaller.resume({ kind: 'all' });
    t.deepEqual(new Set(await Promise.all(readers.map(({ answer }) => answer))), new Set([null]));
    await until(() => bench.recaller.rows(null).length === 0);
    t.is(names.slice(0, 60).filter((name) => bench.isWhole(name)).length, 8 + ahead);
  });
}

realTest('what is recalled ahead takes no reader\'s place among recalls at a time', async (t) => {
  const bench = await recallBench(t, small, { prefetch: 512, gate: { limits: [{ ...anyone, concurrent: 12 }] } });
  await walkers(t, bench, 4);
  for (const name of names.slice(50, 54)) bench.open(name);
  await until(() => bench.recaller.rows(null).filter(({ position, waiters }) => position !== null && waiters.length > 0).length === 12);
  bench.open(names[55] ?? '');
  await until(() => bench.recaller.counts().waiting === 1);
});

for (const [what, end] of [
  ['dies', ({ recaller }: RecallBench, [first]: readonly { readonly id: number }[]) => recaller.onGone(first?.id ?? 0)],
  ['is sent away', ({ recaller }: RecallBench) => recaller.cancel(1, 'EPERM', null)],
  ['is sent away with all that he wants', ({ recaller }: RecallBench) => recaller.cancelAll('EPERM', { uid: 1000, volume: null })],
  ['is paused', ({ recaller }: RecallBench) => recaller.pause({ kind: 'user', uid: 1000 }, null)],
] as const) {
  realTest(`when a reader ${what}, nothing is recalled ahead of him any more, and nothing has failed by that`, async (t) => {
    const bench = await recallBench(t, small, { prefetch: 512 });
    const readers = await walkers(t, bench, 52);
    end(bench, readers);
    t.deepEqual(aheadOf(bench), []);
    t.true(bench.recaller.counts().failed <= 8);
    bench.recaller.resume({ kind: 'user', uid: 1000 });
    bench.recaller.resume({ kind: 'all' });
    await bench.recaller.stop();
    t.true(names.slice(8, 60).every((name) => bench.isStub(name)));
  });
}

realTest('what a reader joins is his: it ends with him, and is none of what is recalled ahead', async (t) => {
  const bench = await recallBench(t, small, { prefetch: 512 });
  const readers = await walkers(t, bench, 52);
  const joined = ['f00020', 'f00021'].map((name) => bench.open(name, 2, 1001));
  t.is(aheadOf(bench).length, 50);
  const rows = bench.recaller.rows(1001);
  t.deepEqual(rows.map(({ priority }) => priority), [100, 100]);
  bench.recaller.onGone(joined[0]?.id ?? 0);
  t.is(bench.recaller.rows(1001).length, 1);
  t.is(bench.recaller.cancelAll('EAGAIN', { uid: 1000, volume: null }), 8);
  t.is(bench.recaller.rows(null).filter(({ state }) => state !== 'failed').length, 1);
  bench.recaller.resume({ kind: 'all' });
  t.is(await joined[1]?.answer, null);
  t.deepEqual(new Set(await Promise.all(readers.map(({ answer }) => answer))), new Set(['EAGAIN']));
  t.true(bench.isWhole('f00021') && bench.isStub('f00020') && bench.isStub('f00022'));
});

realTest('the next batch begins when the last one is nearly through', async (t) => {
  const bench = await recallBench(t, small, { prefetch: 16 });
  await walkers(t, bench, 16);
  for (const name of names.slice(30, 38)) bench.open(name);
  await until(() => bench.recaller.rows(null).filter(({ position }) => position !== null).length === 8 + 8 + 16);
  t.is(aheadOf(bench).length, 16);
  for (const name of names.slice(8, 21)) bench.open(name);
  t.is(aheadOf(bench).length, 3);
  bench.open(names[21] ?? '');
  await until(() => aheadOf(bench).length > 2);
});

realTest('what nobody has asked for gives its room to a reader, and is not recalled where there is none', async (t) => {
  const mib = 2 ** 20;
  const files = { ...Object.fromEntries(names.slice(0, 40).map((name, index) => [name, index < 8 ? 5000 : mib])), big: 40 * mib };
  const bench = await recallBench(t, files, { sizeMiB: 120, prefetch: 512, gate: { keepFreePercent: 50 } });
  await walkers(t, bench, 32);
  t.is(bench.recaller.rows(null).find(({ path }) => path.endsWith('/big')), undefined, 'there was no room for it beside the others');
  const reader = bench.open('big', 2, 1001);
  await until(() => typeof bench.recaller.rows(1001)[0]?.position === 'number');
  const left = aheadOf(bench).length;
  t.true(left > 0 && left < 32, `${left} are left`);
  bench.recaller.resume({ kind: 'all' });
  t.is(await reader.answer, null);
  t.true(bench.isWhole('big'));
});
