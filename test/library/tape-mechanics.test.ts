import test from 'ava';
import { HsmError } from '../../src/errors.ts';
import type { Clock } from '../../src/library/clock.ts';
import { ManualClock } from '../../src/library/clock.ts';
import { TapeMechanics } from '../../src/library/tape-mechanics.ts';
import { locateSeconds, rewindSeconds, tapeModels } from '../../src/library/timing.ts';
import { hastyClock } from '../fixtures/hasty-clock.ts';

const model = tapeModels.lto9;
const capacity = 18e12;
const MB = 1e6;
const GB = 1e9;

function drive(): { clock: Clock; tape: TapeMechanics } {
  const clock = hastyClock();
  return { clock, tape: new TapeMechanics(model, capacity, clock, new AbortController().signal) };
}

const isAbout = (actual: number, expected: number): boolean => Math.abs(actual - expected) <= 0.01 * expected + 10;

test('a locate takes what the model says, staying takes nothing', async (t) => {
  const { clock, tape } = drive();
  await tape.locate(5 * GB, 900 * GB);
  t.is(clock.now(), 1000 * locateSeconds(model, tape.physicalPosition(5 * GB), tape.physicalPosition(900 * GB)));
  const before = clock.now();
  await tape.locate(900 * GB, 900 * GB);
  t.is(clock.now(), before);
  await tape.locate(900 * GB, 0);
  t.is(clock.now(), before + 1000 * rewindSeconds(model, tape.physicalPosition(900 * GB)));
});

test('writing runs into the buffer at once and then at the speed of the tape', async (t) => {
  const { clock, tape } = drive();
  for (let written = 0; written < GB; written += MB) await tape.stream('write', MB);
  t.is(clock.now(), 0, 'the buffer takes the first GiB');
  for (let written = 0; written < 39 * GB; written += MB) await tape.stream('write', MB);
  t.true(isAbout(clock.now(), (1000 * (40 * GB - model.bufferBytes)) / model.rate));
  await tape.flush();
  t.true(isAbout(clock.now(), (1000 * 40 * GB) / model.rate + 1000 * model.syncSeconds), 'a synchronous filemark waits for all of it');
  t.is(tape.backHitches, 0);
});

test('reading runs at the speed of the tape', async (t) => {
  const { clock, tape } = drive();
  for (let read = 0; read < 4 * GB; read += MB) await tape.stream('read', MB);
  t.true(isAbout(clock.now(), (1000 * 4 * GB) / model.rate));
  t.is(tape.backHitches, 0);
});

test('a writer slower than the slowest speed makes the tape run back now and then, a faster one never', async (t) => {
  for (const [rate, hitches] of [[100 * MB, true], [200 * MB, false]] as const) {
    const { clock, tape } = drive();
    for (let written = 0; written < 20 * GB; written += 10 * MB) {
      await tape.stream('write', 10 * MB);
      await clock.sleep((1000 * 10 * MB) / rate);
    }
    t.is(tape.backHitches > 0, hitches);
    t.true(tape.backHitches < 50, 'once a buffer, not once a block');
  }
});

test('a reader who pauses finds the buffer filled, but no more than that', async (t) => {
  const { clock, tape } = drive();
  await tape.stream('read', MB);
  await clock.sleep(60_000);
  const start = clock.now();
  for (let read = 0; read < 10 * GB; read += MB) await tape.stream('read', MB);
  const least = (1000 * (10 * GB - model.bufferBytes)) / model.rate;
  t.true(clock.now() - start >= least - 10 && clock.now() - start <= least + 1000 * model.backHitchSeconds + 10);
  t.is(tape.backHitches, 1);
});

test('what is in the buffer is on the tape before it moves elsewhere', async (t) => {
  const { clock, tape } = drive();
  for (let written = 0; written < 800 * MB; written += MB) await tape.stream('write', MB);
  await tape.locate(GB, GB);
  t.true(isAbout(clock.now(), 2000));
});

test('closing the library ends a movement with ECANCELED', async (t) => {
  const closing = new AbortController();
  const tape = new TapeMechanics(model, capacity, new ManualClock(), closing.signal);
  const moving = t.throwsAsync<HsmError>(tape.locate(0, 9e12), { instanceOf: HsmError, code: 'ECANCELED' });
  closing.abort();
  const error = await moving;
  t.is(error?.retry, 'later');
  await t.throwsAsync(tape.locate(0, 9e12), { code: 'ECANCELED' });
});
