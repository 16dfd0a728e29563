import test from 'ava';
import { root } from '../../src/access/case.ts';
import { runScript } from '../../src/access/script.ts';

const where = { user: { ...root, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }, folder: '/', environment: { PATH: '/usr/bin:/bin', WORD: 'said' }, asRoot: false };

test('a script has its environment and no other, and its bytes and exit code are told', async (t) => {
  const { exitCode, timedOut, stdout, stderr } = await runScript('echo "$WORD"; echo "$HOME" >&2; exit 7', { ...where, limitMs: 60_000 });
  t.deepEqual({ exitCode, timedOut, stdout: stdout.toString(), stderr }, { exitCode: 7, timedOut: false, stdout: 'said\n', stderr: '\n' });
});

test('a script that hangs is ended with its children', async (t) => {
  // The child keeps standard output open: as long as it lives, this does not resolve.
  const { timedOut, exitCode, stdout } = await runScript('echo begun; sleep 600 & wait', { ...where, limitMs: 1000 });
  t.true(timedOut);
  t.is(exitCode, null);
  t.is(stdout.toString(), 'begun\n');
});
