import test, { type ExecutionContext } from 'ava';
import { commands } from '../../src/cli/commands.ts';
import { temporaryFolder, writeConfig } from '../fixtures/fake-daemon.ts';
import { hsm, jsonLines } from '../fixtures/hsm.ts';

const usage = test.macro({
  exec: async (t: ExecutionContext, args: readonly string[], message: RegExp) => {
    const plain = await hsm(args);
    t.is(plain.exitCode, 2);
    t.is(plain.stdout, '');
    t.regex(plain.stderr, message);
    t.regex(plain.stderr, /^hsm: [^\n]+--help'$/);
    const json = await hsm([...args, '--json']);
    t.is(json.exitCode, 2);
    t.is(json.stdout, '');
    const lines = jsonLines(json.stderr);
    t.is(lines.length, 1);
    t.deepEqual(Object.keys(lines[0]?.['error'] as object), ['code', 'message', 'path']);
    t.like(lines[0], { error: { code: 'USAGE', path: null } });
  },
  title: (what) => `${what} is a usage error in one line that says what to do`,
});

test('no command', usage, [], /no command given/);
test('an unknown command', usage, ['frobnicate'], /unknown command 'frobnicate'/);
test('a mistyped command', usage, ['archiv'], /Did you mean archive\?/);
test('an unknown global option', usage, ['--frob', 'status'], /unknown option '--frob'/);
test('an unknown option of a command', usage, ['status', '--frob'], /unknown option '--frob': run 'hsm status --help'/);
test('an argument too many', usage, ['status', 'x'], /too many arguments/);
test('a group without its command', usage, ['tape'], /'hsm tape' needs a command/);
test('a missing required option', usage, ['archive', '/x'], /--older-than/);
test('a misspelt option', usage, ['archive', '--older-then', '4y', '/x'], /--older-then/);
test('an age that is none', usage, ['archive', '--older-than', '4 years', '/x'], /such as 4y or 90d/);
test('a size that is none', usage, ['archive', '--older-than', '4y', '--larger-than', 'big', '/x'], /such as 100M/);
test('a time that is none', usage, ['archive', '--older-than', '4y', '--by', 'ctime', '/x'], /used, mtime, atime/);
test('an errno that the kernel would not take', usage, ['cancel', 'r1', '--errno', 'ENOENT'], /EAGAIN/);
test('a shell that is not known', usage, ['completion', 'tcsh'], /bash, zsh, fish/);

test('--version prints the version, before or after a command', async (t) => {
  for (const args of [['--version'], ['status', '--version'], ['--json', '--version']]) {
    const { exitCode, stdout } = await hsm(args);
    t.deepEqual([exitCode, stdout], [0, '0.1.0']);
  }
});

test('every command has help with examples, on stdout', async (t) => {
  const overview = await hsm(['--help']);
  for (const { name, hidden } of commands) {
    if (hidden === true) t.false(overview.stdout.includes(`  ${name} `), name);
    else t.true(overview.stdout.includes(`  ${name} `), name);
  }
  for (const { name } of commands.filter(({ hidden }) => hidden !== true)) {
    const { exitCode, stdout, stderr } = await hsm([name, '--help']);
    t.deepEqual([exitCode, stderr], [0, ''], name);
    if (!['tape', 'drive', 'hooks', 'library'].includes(name)) t.true(stdout.includes('Examples:'), name);
    t.true(stdout.includes('--config <file>'), name);
  }
  for (const args of [['tape', 'ls'], ['tape', 'show'], ['tape', 'add'], ['tape', 'format'], ['drive', 'ls'], ['drive', 'up'], ['drive', 'down'], ['library', 'inventory'], ['hooks', 'test']]) {
    t.true((await hsm([...args, '--help'])).stdout.includes('Examples:'), args.join(' '));
  }
});

test('hsm help COMMAND is COMMAND --help', async (t) => {
  t.is((await hsm(['help', 'archive'])).stdout, (await hsm(['archive', '--help'])).stdout);
});

test('global options work before and after the command', async (t) => {
  const config = writeConfig(temporaryFolder(t));
  for (const args of [['--json', '--config', config, 'status'], ['status', '--json', '--config', config], ['--config', config, 'status', '--json']]) {
    const { exitCode, stderr } = await hsm(args);
    t.is(exitCode, 4);
    t.like(jsonLines(stderr)[0], { error: { code: 'NO_DAEMON' } });
  }
});

test('HSM_CONFIG names the config and --config overrides it', async (t) => {
  const config = writeConfig(temporaryFolder(t));
  t.is((await hsm(['status'], { env: { HSM_CONFIG: config } })).exitCode, 4);
  const other = await hsm(['status', '--config', '/nowhere/hsm.toml'], { env: { HSM_CONFIG: config } });
  t.is(other.exitCode, 2);
  t.regex(other.stderr, /^hsm: \/nowhere\/hsm\.toml cannot be read: run 'hsm init'/);
});

test('every command that needs the daemon exits 4 without one and says how to start it', async (t) => {
  const config = writeConfig(temporaryFolder(t));
  const all = [['status'], ['queue'], ['jobs'], ['cancel', 'r1'], ['tape', 'ls'], ['tape', 'show', 'A'], ['tape', 'add'], ['tape', 'format', 'A'], ['drive', 'ls'], ['drive', 'up', 'drive0'], ['library', 'inventory'], ['verify'], ['archive', '--older-than', '4y', '/'], ['release', '/'], ['recall', '/']];
  for (const args of all) {
    const { exitCode, stdout, stderr } = await hsm([...args, '--config', config]);
    t.is(exitCode, 4, args.join(' '));
    t.is(stdout, '');
    t.regex(stderr, /^hsm: no daemon answers at .*: start one with 'hsm daemon'$/);
  }
});
