import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import type { Progress, Summary } from '../../src/daemon/protocol.ts';
import type { Handler } from '../../src/daemon/server.ts';
import { HsmError } from '../../src/errors.ts';
import { summaryLines } from '../../src/cli/transfer.ts';
import { fakeDaemon } from '../fixtures/fake-daemon.ts';
import { hsm, jsonLines, startHsm } from '../fixtures/hsm.ts';

const nothing: Summary = { summary: true, archived: 0, released: 0, recalled: 0, bytes: 0, skipped: {}, failed: 0 };

/** A daemon that answers every job with `summary` and keeps what it was asked. */
async function daemonWith(t: ExecutionContext, summary: Partial<Summary> | Handler) {
  const asked: Record<string, unknown>[] = [];
  const handler: Handler = async (params, call) => {
    asked.push(params);
    return typeof summary === 'function' ? summary(params, call) : { ...nothing, ...summary };
  };
  const { config, folder } = await fakeDaemon(t, { archive: handler, release: handler, recall: handler });
  const data = join(folder, 'data');
  mkdirSync(data);
  return { config, data, asked };
}

test('archive sends every option to the daemon', async (t) => {
  const { config, data, asked } = await daemonWith(t, {});
  const options = ['--older-than', '4y', '--larger-than', '1M', '--by', 'mtime', '--include', '*.dat', '--include', 'a/**', '--exclude', '*.tmp', '--pool', 'one,two', '--pool', 'three', '--pool', 'one', '--keep-data', '--dry-run', '--verbose'];
  const { exitCode } = await hsm(['archive', ...options, data, '--config', config]);
  t.is(exitCode, 0);
  t.deepEqual(asked, [
    {
      olderThan: 4 * 31_556_952,
      largerThan: 2 ** 20,
      by: 'mtime',
      include: ['*.dat', 'a/**'],
      exclude: ['*.tmp'],
      pools: ['one', 'two', 'three'],
      keepData: true,
      dryRun: true,
      paths: [data],
      verbose: true,
    },
  ]);
});

test('by default archive goes by use, to the pools of the config', async (t) => {
  const { config, data, asked } = await daemonWith(t, {});
  await hsm(['archive', '--older-than', '90d', data, '--config', config]);
  t.deepEqual(asked, [{ olderThan: 90 * 86_400, by: 'used', include: [], exclude: [], pools: ['default'], keepData: false, dryRun: false, paths: [data], verbose: false }]);
});

const exits = test.macro({
  exec: async (t: ExecutionContext, summary: Partial<Summary>, exitCode: number) => {
    const { config, data } = await daemonWith(t, summary);
    const { exitCode: got, stdout } = await hsm(['archive', '--older-than', '4y', data, '--json', '--config', config]);
    t.is(got, exitCode);
    t.deepEqual(jsonLines(stdout), [{ ...nothing, ...summary }]);
  },
  title: (what) => `the exit code of ${what}`,
});

test('a run without failures is 0', exits, { archived: 3, released: 3, bytes: 10 }, 0);
test('a run that had nothing to do is 0', exits, {}, 0);
test('a run that skipped files by rule is 0', exits, { skipped: { young: 3, open: 1 } }, 0);
test('a run with failures beside successes is 3', exits, { archived: 1, failed: 1 }, 3);
test('a run with failures and nothing else is 1', exits, { skipped: { young: 3 }, failed: 1 }, 1);
test('a run that somebody cancelled is 130', exits, { archived: 1, interrupted: true }, 130);

test('an error of the daemon decides the exit code', async (t) => {
  const { config, data } = await daemonWith(t, async () => {
    throw new HsmError('NOT_MANAGED', '/x is on no filesystem that hsm manages', { path: '/x' });
  });
  const { exitCode, stdout, stderr } = await hsm(['release', data, '--config', config]);
  t.deepEqual([exitCode, stdout, stderr], [1, '', 'hsm: /x is on no filesystem that hsm manages']);
});

test('a named path that does not exist is exit 1, and nothing is asked for', async (t) => {
  const { config, data, asked } = await daemonWith(t, {});
  const { exitCode, stderr } = await hsm(['archive', '--older-than', '4y', data, join(data, 'gone'), '--config', config, '--json']);
  t.is(exitCode, 1);
  t.like(jsonLines(stderr)[0], { error: { code: 'ENOENT', path: join(data, 'gone') } });
  t.deepEqual(asked, []);
});

test('an empty path is a usage error and not the working folder', async (t) => {
  const { config, asked } = await daemonWith(t, {});
  t.is((await hsm(['archive', '--older-than', '4y', '', '--config', config])).exitCode, 2);
  t.deepEqual(asked, []);
});

test('no path at all is a usage error', async (t) => {
  const { config } = await daemonWith(t, {});
  const { exitCode, stderr } = await hsm(['recall', '--config', config]);
  t.is(exitCode, 2);
  t.regex(stderr, /no path given/);
});

test('paths travel absolute and without symbolic links', async (t) => {
  const { config, data, asked } = await daemonWith(t, {});
  mkdirSync(join(data, 'a b'));
  symlinkSync('a b', join(data, 'link'));
  await hsm(['recall', './a b/../link', '.', '--config', config], { cwd: data });
  t.deepEqual(asked[0]?.['paths'], [join(data, 'a b'), data]);
});

test('a name that is not UTF-8 arrives byte for byte, from the command line and from a list', async (t) => {
  const { config, data, asked } = await daemonWith(t, {});
  const names = [Buffer.from('caf\xe9', 'latin1'), Buffer.from('na\xefve', 'latin1'), Buffer.from('\xff', 'latin1'), Buffer.from('\xfe', 'latin1')];
  const paths = names.map((name) => Buffer.concat([Buffer.from(`${data}/`), name]));
  for (const path of paths) writeFileSync(path, 'x');
  const wire = paths.map((path) => ({ base64: path.toString('base64') }));
  const main = new URL('../../src/main.ts', import.meta.url).pathname;
  const script = `exec "$0" --disable-warning=ExperimentalWarning "$1" recall --config "$2" $'caf\\xe9' $'na\\xefve' $'\\xff' $'\\xfe'`;
  await execa('bash', ['-c', script, process.execPath, main, config], { cwd: data, timeout: 60_000 });
  t.deepEqual(asked[0]?.['paths'], wire);
  const list = Buffer.concat(paths.flatMap((path) => [path, Buffer.from([0])]));
  const { exitCode } = await hsm(['recall', '--files0-from', '-', '--config', config], { stdin: 'pipe', input: list });
  t.is(exitCode, 0);
  t.deepEqual(asked[1]?.['paths'], wire);
});

test('listed paths that are gone are failures; the rest is done', async (t) => {
  const { config, data, asked } = await daemonWith(t, { recalled: 1 });
  writeFileSync(join(data, 'here'), 'x');
  writeFileSync(join(data, 'list'), `here\0gone\nwith newline\0`);
  const { exitCode, stdout, stderr } = await hsm(['recall', '--files0-from', 'list', '--json', '--config', config], { cwd: data });
  t.is(exitCode, 3);
  t.is(stderr, '');
  t.like(jsonLines(stdout)[0], { recalled: 1, failed: 1 });
  t.deepEqual(asked[0]?.['paths'], [join(data, 'here')]);
  const text = await hsm(['recall', '--files0-from', 'list', '--config', config], { cwd: data });
  t.regex(text.stderr, /^hsm: .*gone\\nwith newline does not exist$/);
  writeFileSync(join(data, 'list'), `gone\0`);
  t.is((await hsm(['recall', '--files0-from', 'list', '--config', config], { cwd: data })).exitCode, 1);
});

const rows: Handler = async (params, call) => {
  if (params['verbose'] === true) {
    await call.row({ path: '/d/a\u001b[31m', result: 'archived', size: 5 });
    await call.row({ path: '/d/b', result: 'skipped', reason: 'young' });
  }
  await call.row({ path: '/d/c\ufffd', pathBase64: Buffer.from('/d/c\xe9', 'latin1').toString('base64'), result: 'failed', reason: 'EIO' });
  return { ...nothing, archived: 1, skipped: { young: 1 }, failed: 1 };
};

test('with --verbose there is a line per file, and failures go to stderr', async (t) => {
  const { config, data } = await daemonWith(t, rows);
  const args = ['archive', '--older-than', '4y', data, '--config', config];
  const verbose = await hsm([...args, '--verbose']);
  t.deepEqual(verbose.stdout.split('\n'), ['archived /d/a\u001b[31m', 'skipped  /d/b (too young)', 'archived 1 file', 'skipped 1 file: 1 too young', 'failed 1 file']);
  t.is(verbose.stderr, `hsm: $'/d/c\\xe9': EIO`);
  const brief = await hsm(args);
  t.deepEqual(brief.stdout.split('\n'), ['archived 1 file', 'skipped 1 file: 1 too young', 'failed 1 file']);
  t.is(brief.stderr, verbose.stderr);
});

test('--json has the rows with --verbose and only the summary without', async (t) => {
  const { config, data } = await daemonWith(t, rows);
  const args = ['archive', '--older-than', '4y', data, '--json', '--config', config];
  t.is(jsonLines((await hsm([...args, '--verbose'])).stdout).length, 4);
  const brief = await hsm(args);
  t.is(jsonLines(brief.stdout).length, 1);
  t.is(brief.stderr, '');
});

test('--quiet is silent about success and not about failure', async (t) => {
  const good = await daemonWith(t, { archived: 2 });
  const silent = await hsm(['archive', '--older-than', '4y', good.data, '--quiet', '--config', good.config]);
  t.deepEqual([silent.exitCode, silent.stdout, silent.stderr], [0, '', '']);
  const bad = await daemonWith(t, { archived: 2, failed: 1 });
  t.regex((await hsm(['archive', '--older-than', '4y', bad.data, '--quiet', '--config', bad.config])).stdout, /failed 1 file/);
});

/** A job that runs until it is cancelled. */
const endless =
  (began: () => void): Handler =>
  async (_, call) => {
    const progress: Progress = { phase: 'writing', files: 1, bytes: 1, totalFiles: 2, totalBytes: 2 };
    call.progress(progress);
    began();
    await new Promise((resolve) => call.cancelled.addEventListener('abort', resolve));
    return { ...nothing, archived: 1, interrupted: true };
  };

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} cancels the job, waits for its summary and exits 130`, async (t) => {
    const began = Promise.withResolvers<void>();
    const { config, data } = await daemonWith(t, endless(began.resolve));
    const running = startHsm(['archive', '--older-than', '4y', data, '--config', config]);
    await began.promise;
    running.kill(signal);
    const { exitCode, stdout, stderr } = await running;
    t.is(exitCode, 130);
    t.regex(String(stderr), /stopping after the current container; \^C again/);
    t.regex(String(stdout), /archived 1 file\nstopped before the end: run it again to go on/);
  });
}

test('a second ^C exits at once with 130', async (t) => {
  const began = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  const { config, data } = await daemonWith(t, async (_, call) => {
    began.resolve();
    call.cancelled.addEventListener('abort', () => cancelled.resolve());
    await new Promise((resolve) => call.gone.addEventListener('abort', resolve));
    return nothing;
  });
  const running = startHsm(['archive', '--older-than', '4y', data, '--config', config]);
  await began.promise;
  running.kill('SIGINT');
  await cancelled.promise;
  running.kill('SIGINT');
  t.is((await running).exitCode, 130);
});

test('a daemon that dies in the middle is exit 4', async (t) => {
  const began = Promise.withResolvers<void>();
  const { config, folder, server } = await fakeDaemon(t, { archive: endless(began.resolve) });
  const running = startHsm(['archive', '--older-than', '4y', folder, '--config', config]);
  await began.promise;
  await server.close();
  const { exitCode, stderr } = await running;
  t.is(exitCode, 4);
  t.regex(String(stderr), /went away/);
});

test('a reader that stops reading does not end the job', async (t) => {
  const { config, data } = await daemonWith(t, async (_, call) => {
    for (let i = 0; i < 20_000; i += 1) await call.row({ path: `/d/${i}`, result: 'archived' });
    await sleep(100);
    return { ...nothing, archived: 20_000 };
  });
  const main = new URL('../../src/main.ts', import.meta.url).pathname;
  const script = `set -o pipefail; "$0" --disable-warning=ExperimentalWarning "$1" archive --verbose --older-than 4y "$2" --config "$3" | head -1`;
  const result = await execa('bash', ['-c', script, process.execPath, main, data, config], { reject: false, timeout: 60_000 });
  t.deepEqual([result.exitCode, result.stdout, result.stderr], [0, 'archived /d/0', '']);
});

test('the summary says in words what was done and what was not', (t) => {
  const summary: Summary = { ...nothing, archived: 1234, released: 1, bytes: 3 * 2 ** 30, skipped: { open: 1, changed: 0, someNewReason: 2 }, failed: 2 };
  t.deepEqual(summaryLines(summary), ['archived 1,234 files, released 1 file (3.0 GiB)', 'skipped 3 files: 1 in use, 2 someNewReason', 'failed 2 files']);
  t.deepEqual(summaryLines({ ...nothing, archived: 2 }, { dryRun: true }), ['would have archived 2 files']);
  t.deepEqual(summaryLines({ ...nothing, skipped: { resident: 2 } }, { method: 'recall' })[1], 'skipped 2 files: 2 on disk already');
  t.deepEqual(summaryLines({ ...nothing, skipped: { resident: 2 } }, { method: 'release' })[1], 'skipped 2 files: 2 not archived');
  t.deepEqual(summaryLines(nothing), ['nothing was done']);
});

