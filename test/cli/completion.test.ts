import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { temporaryFolder } from '../fixtures/fake-daemon.ts';
import { hsm } from '../fixtures/hsm.ts';

/** What bash offers for the last of `words`. */
async function bash(t: ExecutionContext, ...words: string[]): Promise<string[]> {
  const { stdout } = await hsm(['completion', 'bash']);
  const file = join(temporaryFolder(t), 'hsm.bash');
  writeFileSync(file, stdout);
  const script = `source "$0"; COMP_WORDS=(hsm "$@"); COMP_CWORD=$#; _hsm; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout: offered, stderr } = spawnSync('bash', ['--norc', '-uc', script, file, ...words], { encoding: 'utf8', timeout: 10_000 });
  t.is(stderr, '');
  return offered.split('\n').filter((line) => line !== '');
}

test('bash completes commands, subcommands, options, choices and words', async (t) => {
  t.deepEqual(await bash(t, 'ar'), ['archive']);
  t.deepEqual(await bash(t, 'tape', ''), ['ls', 'show', 'add', 'format', 'reclaim', 'export', 'import', 'lock', 'unlock', 'retire', 'label']);
  t.deepEqual(await bash(t, '--config', 'x', 'tape', 'sh'), ['show']);
  t.deepEqual(await bash(t, 'archive', '--older'), ['--older-than']);
  t.deepEqual(await bash(t, 'archive', '--by', ''), ['used', 'mtime', 'atime']);
  t.deepEqual(await bash(t, 'completion', ''), ['bash', 'zsh', 'fish']);
  t.deepEqual(await bash(t, 'status', '--j'), ['--json']);
  t.deepEqual(await bash(t, 'daemon-'), []);
});

test('bash leaves paths to its own completion', async (t) => {
  t.deepEqual(await bash(t, 'archive', '/da'), []);
  t.deepEqual(await bash(t, '--config', '/e'), []);
});

for (const shell of ['zsh', 'fish'] as const) {
  const found = spawnSync(shell, ['--version'], { timeout: 10_000 }).status === 0;
  const title = `the ${shell} script is one that ${shell} accepts`;
  if (found) {
    test(title, async (t) => {
      const { stdout } = await hsm(['completion', shell]);
      const file = join(temporaryFolder(t), `hsm.${shell}`);
      writeFileSync(file, stdout);
      const { status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8', timeout: 10_000 });
      t.deepEqual([status, stderr], [0, '']);
    });
  } else {
    test.skip(`${title} (skipped: ${shell} is not installed)`, () => undefined);
  }
}
