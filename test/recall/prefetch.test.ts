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
