import test from 'ava';
import { kernelTest } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';
import { makeStubs, read } from '../../fixtures/stubs.ts';

const realTest = kernelTest(test);

realTest('a second daemon is refused with exit 5 and one line, and the first serves on', async (t) => {
  const hsm = await managed(t, 'ext4');
  const [stub = ''] = await makeStubs(hsm, { stub: 'original' });
  const plain = await hsm.hsm('daemon');
  t.is(plain.exitCode, 5);
  t.is(plain.stdout, '');
  t.regex(plain.stderr, /^hsm: a daemon already runs for this configuration \(pid \d+\)$/);
  const json = await hsm.hsm('--json', 'daemon');
  t.is(json.exitCode, 5);
  t.is(json.stdout, '');
  t.is((JSON.parse(json.stderr) as { error: { code: string } }).error.code, 'REFUSED');
  t.is((await read(stub)).stdout, 'original');
});

realTest('a second daemon is refused as well while the first is not there to say so', async (t) => {
  const hsm = await managed(t, 'ext4');
  const [stub = ''] = await makeStubs(hsm, { stub: 'original' });
  const { daemon, keeper } = await hsm.status();
  // The keeper, stopped, cannot start the next daemon.
  process.kill(keeper.pid, 'SIGSTOP');
  process.kill(daemon.pid, 'SIGKILL');
  const reader = read(stub);
  try {
    const second = await hsm.hsm('daemon');
    t.is(second.exitCode, 5);
    t.is(second.stdout, '');
    t.regex(second.stderr, /^hsm: a daemon already runs for this configuration .*$/);
  } finally {
    process.kill(keeper.pid, 'SIGCONT');
  }
  t.is((await reader).stdout, 'original');
});
