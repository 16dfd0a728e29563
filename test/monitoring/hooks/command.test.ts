import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { commandHook, environmentOf } from '../../../src/monitoring/hooks/command.ts';
import type { HookMessage } from '../../../src/monitoring/hooks/hooks.ts';
import { temporaryFolder } from '../../fixtures/fake-daemon.ts';
import { until } from '../../fixtures/until.ts';

const message: HookMessage = { event: 'drive-down', class: 'failure', at: '2026-03-01T12:00:00.000Z', host: 'tape', data: { name: 'drive1', reason: 'it squeaks; $(rm -rf /)' } };
const never = new AbortController().signal;

/** A hook that runs this shell script with its output folder as $1. */
function scripted(t: ExecutionContext, script: string, timeoutMs = 60_000) {
  const folder = temporaryFolder(t);
  const file = join(folder, 'hook.sh');
  writeFileSync(file, script);
  return { folder, hook: commandHook({ command: ['/bin/sh', file, folder], timeoutMs, configFile: '/etc/hsm/other.toml' }) };
}

test('a command gets the event on its standard input and the main of it in its environment', async (t) => {
  const { folder, hook } = scripted(t, 'cat > "$1/in"; env > "$1/env"; pwd > "$1/pwd"');
  await hook.run(message, never);
  t.deepEqual(JSON.parse(readFileSync(join(folder, 'in'), 'utf8')), message);
  const environment = readFileSync(join(folder, 'env'), 'utf8').split('\n');
  for (const line of ['HSM_EVENT=drive-down', 'HSM_EVENT_CLASS=failure', 'HSM_EVENT_AT=2026-03-01T12:00:00.000Z', 'HSM_EVENT_NAME=drive1', 'HSM_EVENT_REASON=it squeaks; $(rm -rf /)', 'HSM_CONFIG=/etc/hsm/other.toml']) t.true(environment.includes(line), line);
  t.is(readFileSync(join(folder, 'pwd'), 'utf8').trim(), '/');
});

test('an event cannot set other variables than those of events, nor odd ones', (t) => {
  const data = { PATH: '/evil', ld_preload: 'x', event: 'y', at: 'then', 'a=b': 'c', nested: { a: 1 }, list: [1], count: 3, lastAt: 'z', long: 'x'.repeat(5000), nul: 'a\0b' };
  const environment = environmentOf({ ...message, data });
  t.is(environment['PATH']?.includes('evil'), false);
  t.is(environment['HSM_EVENT_AT'], message.at);
  t.is(environment['HSM_EVENT'], 'drive-down');
  t.is(environment['HSM_EVENT_COUNT'], '3');
  t.is(environment['HSM_EVENT_LAST_AT'], 'z');
  t.is(environment['HSM_EVENT_LONG']?.length, 1000);
  t.is(environment['HSM_EVENT_NUL'], 'ab');
  t.deepEqual(Object.keys(environment).filter((name) => !/^(HSM_EVENT[A-Z_]*|PATH|LANG)$/.test(name)), []);
});

test('a command that fails says why, one that cannot be found says so', async (t) => {
  await t.throwsAsync(scripted(t, 'echo "no mail server" >&2; exit 7').hook.run(message, never), { message: 'it ended with 7: no mail server' });
  await t.throwsAsync(commandHook({ command: ['/nowhere/hook'], timeoutMs: 60_000, configFile: '' }).run(message, never), { message: /it ended with 127: .*nowhere\/hook/ });
});

test('a command that does not read its input does no harm', async (t) => {
  await t.notThrowsAsync(scripted(t, 'exec 0<&-; exit 0').hook.run({ ...message, data: { text: 'x'.repeat(500_000) } }, never));
});

test('a command that takes too long is killed, and what it started too', async (t) => {
  const { folder, hook } = scripted(t, 'sleep 300 & echo $! > "$1/child"; wait', 300);
  const error = await t.throwsAsync(hook.run(message, never), { code: 'ETIMEDOUT' });
  t.is(error.message, 'it took more than 0.3 s and was killed');
  const child = await until(async () => {
    try {
      return Number(readFileSync(join(folder, 'child'), 'utf8'));
    } catch {
      return null;
    }
  });
  await until(async () => (isAlive(child) ? null : true));
  t.false(isAlive(child));
});

test('a stop kills it', async (t) => {
  const { folder, hook } = scripted(t, 'echo yes > "$1/began"; exec sleep 300');
  const stopping = new AbortController();
  const running = t.throwsAsync(hook.run(message, stopping.signal), { message: 'it ended with SIGKILL' });
  await until(async () => {
    try {
      return readFileSync(join(folder, 'began'), 'utf8') === 'yes\n' ? true : null;
    } catch {
      return null;
    }
  });
  stopping.abort();
  await running;
});

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
