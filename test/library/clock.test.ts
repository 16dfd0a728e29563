import test from 'ava';
import { ManualClock, systemClock } from '../../src/library/clock.ts';

test('time passes only when it is let, and wakes sleepers in order', async (t) => {
  const clock = new ManualClock(1000);
  const woken: string[] = [];
  const sleeper = async (name: string, ms: number): Promise<void> => {
    await clock.sleep(ms);
    woken.push(`${name} ${clock.now()}`);
  };
  const all = Promise.all([sleeper('b', 20), sleeper('a', 10), sleeper('c', 50).then(() => sleeper('d', 5))]);
  await clock.advance(9);
  t.deepEqual(woken, []);
  await clock.advance(41);
  t.deepEqual(woken, ['a 1010', 'b 1020', 'c 1050']);
  t.is(clock.now(), 1050);
  await clock.until(all);
  t.deepEqual(woken.at(-1), 'd 1055');
});

test('until passes on what the promise ends with', async (t) => {
  const clock = new ManualClock();
  t.is(await clock.until(clock.sleep(3_600_000).then(() => 'later')), 'later');
  t.is(clock.now(), 3_600_000);
  await t.throwsAsync(clock.until(clock.sleep(1).then(() => Promise.reject(new Error('no')))), { message: 'no' });
});

for (const [name, clock] of [['manual', new ManualClock()], ['system', systemClock]] as const) {
  test(`an aborted sleep on the ${name} clock rejects with the reason`, async (t) => {
    const controller = new AbortController();
    const sleeping = t.throwsAsync(clock.sleep(600_000, controller.signal), { message: 'enough' });
    controller.abort(new Error('enough'));
    await sleeping;
    await t.throwsAsync(clock.sleep(600_000, controller.signal), { message: 'enough' });
  });
}

test('the system clock never runs backwards', async (t) => {
  const before = systemClock.now();
  await systemClock.sleep(2);
  t.true(systemClock.now() > before);
});
