import test from 'ava';
import { writeConfig, temporaryFolder } from '../fixtures/fake-daemon.ts';
import { hsm } from '../fixtures/hsm.ts';

test('without a terminal hsm tui says so in one line and exits 2', async (t) => {
  const config = writeConfig(temporaryFolder(t));
  const { exitCode, stdout, stderr } = await hsm(['tui', '--config', config]);
  t.is(exitCode, 2);
  t.is(stdout, '');
  t.regex(stderr, /^hsm: hsm tui needs a terminal: .*$/);
});

test('a screen that there is not is a usage error', async (t) => {
  const { exitCode, stderr } = await hsm(['tui', '--screen', 'settings']);
  t.is(exitCode, 2);
  t.regex(stderr, /overview/);
});
