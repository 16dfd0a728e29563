import test from 'ava';
import { Hooks, type Hook, type HookMessage, type HooksOptions } from '../../../src/monitoring/hooks/hooks.ts';
import { classified } from '../../../src/monitoring/hooks/triggers.ts';
import { until } from '../../fixtures/until.ts';

/** A hook whose calls end when they are told to. */
function patient() {
  const calls: { readonly message: HookMessage; readonly end: (error?: Error) => void }[] = [];
  const hook: Hook = { name: 'command', run: (message) => new Promise((resolve, reject) => calls.push({ message, end: (error) => (error === undefined ? resolve() : reject(error)) })) };
  const ended: string[] = [];
  const warnings: string[] = [];
  const options = (change: Partial<HooksOptions> = {}): HooksOptions => ({
    hooks: [hook],
    on: ['operator-needed', 'failure'],
    atOnce: 2,
    log: { info: () => undefined, warn: (_data, text) => void warnings.push(text), error: () => undefined },
    onEnd: (name, result) => void ended.push(`${name} ${result}`),
    ...change,
  });
  return { calls, ended, warnings, options };
}

test('events of the classes and kinds that are asked for call the hook, others do not', (t) => {
  const { calls, options } = patient();
  const hooks = new Hooks(options({ on: ['operator-needed', 'drive-down'], atOnce: 10 }));
  hooks.happened('operator-needed', null, { drive: 'drive0' });
  hooks.happened('volume-suspect', null, {});
  hooks.happened('cancel', 0, {});
  hooks.happened('drive', null, { name: 'drive1' });
  hooks.happened('drive', 0, { name: 'drive2' });
  t.deepEqual(calls.map(({ message }) => message.event), ['operator-needed', 'drive-down']);
  t.like(calls[1]?.message, { class: 'failure', data: { name: 'drive1' } });
});

test('what an operator does to a drive is no failure', (t) => {
  t.is(classified('drive', 0), null);
  t.deepEqual(classified('drive', null), { event: 'drive-down', class: 'failure' });
  t.is(classified('tape-format', 0), null);
});

test('so many run at a time, a hundred wait, and what is beyond is dropped and told', async (t) => {
  const { calls, ended, options, warnings } = patient();
  const hooks = new Hooks(options());
  for (let i = 0; i < 110; i += 1) hooks.happened('job-failed', null, { i });
  t.is(calls.length, 2);
  t.deepEqual(ended, Array.from({ length: 8 }, () => 'command dropped'));
  t.is(warnings.length, 8);
  for (let done = 0; done < 102; done += 1) {
    await until(async () => (calls.length > done ? true : null));
    t.true(calls.length <= done + 2);
    calls[done]?.end();
  }
  await until(async () => (ended.length === 110 ? true : null));
  t.is(ended.filter((each) => each === 'command ok').length, 102);
});

test('a hook that fails is logged, and the next one is called', async (t) => {
  const { calls, ended, options, warnings } = patient();
  const hooks = new Hooks(options({ atOnce: 1 }));
  hooks.happened('job-failed', null, {});
  hooks.happened('job-failed', null, {});
  calls[0]?.end(new Error('no'));
  await until(async () => (calls.length === 2 ? true : null));
  t.deepEqual(warnings, ['a hook failed']);
  calls[1]?.end(Object.assign(new Error('late'), { code: 'ETIMEDOUT' }));
  await until(async () => (ended.length === 2 ? true : null));
  t.deepEqual(ended, ['command failed', 'command timeout']);
});

test('a test says how each hook ended; without hooks it is refused', async (t) => {
  const { calls, options } = patient();
  const testing = new Hooks(options()).test();
  calls[0]?.end(new Error('no'));
  t.like((await testing)[0], { hook: 'command', result: 'failed', reason: 'no' });
  t.is(calls[0]?.message.class, 'test');
  await t.throwsAsync(new Hooks(options({ hooks: [] })).test(), { code: 'CONFIG' });
});

test('after a stop nothing is called any more', (t) => {
  const { calls, options } = patient();
  const hooks = new Hooks(options());
  hooks.stop();
  hooks.happened('job-failed', null, {});
  t.is(calls.length, 0);
});
