import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { byVersion } from '../../src/cli/doctor/kernel.ts';
import type { Handler } from '../../src/daemon/server.ts';
import { startControlServer } from '../../src/daemon/server.ts';
import { version } from '../../src/version.ts';
import { temporaryFolder, writeConfig } from '../fixtures/fake-daemon.ts';
import { hsm, jsonLines } from '../fixtures/hsm.ts';
import { kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';

const kernel = kernelTest(test);

const findings = (text: string) => jsonLines(text) as { check: string; status: string; message: string; advice: string | null }[];

test('without a config doctor checks the kernel, says what to do and exits 1', async (t) => {
  const { exitCode, stdout } = await hsm(['doctor', '--json', '--config', '/nowhere/hsm.toml']);
  t.is(exitCode, 1);
  t.deepEqual(findings(stdout).map(({ check }) => check), ['root', 'kernel', 'leases', 'lsm', 'config']);
  t.like(findings(stdout).at(-1), { status: 'fail' });
});

test('every finding that is not ok says what to do, and only those', async (t) => {
  const { stdout } = await hsm(['doctor', '--json', '--config', writeConfig(temporaryFolder(t), ['/nowhere/data', '/', '/proc'])]);
  for (const { status, advice, message } of findings(stdout)) t.is(advice === null, status === 'ok', message);
  const failed = findings(stdout).filter(({ status }) => status === 'fail').map(({ message }) => message);
  t.true(failed.includes('/nowhere/data is not mounted'));
  t.true(failed.includes('/ is the root filesystem'));
  t.true(failed.includes('/proc is proc'));
});

test('a kernel too old for pre-content events is a warning', (t) => {
  t.is(byVersion('6.1.0-25-amd64').status, 'warn');
  t.is(byVersion('6.13.9').status, 'warn');
  t.is(byVersion('6.14.0').status, 'ok');
  t.is(byVersion('7.0.0-rc1').status, 'ok');
});

kernel('a set-up machine has no failures, and drawbacks are warnings', async (t) => {
  const mount = await loopFilesystem(t, 'ext4');
  const folder = temporaryFolder(t);
  const config = join(folder, 'hsm.toml');
  t.is((await hsm(['init', '--config', config, '--filesystem', mount, '--library', join(folder, 'tapes'), '--state', join(folder, 'state')])).exitCode, 0);
  const good = await hsm(['doctor', '--json', '--config', config]);
  t.is(good.exitCode, 0, good.stdout);
  t.true(findings(good.stdout).some(({ message }) => message.startsWith(`${mount}: ext4 on`)));

  const view = join(folder, 'view');
  mkdirSync(view);
  await execa('mount', ['--bind', mount, view]);
  t.teardown(() => execa('umount', [view]));
  await execa('mount', ['-o', 'remount,bind,ro', view]);
  await execa('mount', ['-o', 'remount,noatime', mount]);
  chmodSync(join(folder, 'tapes'), 0o755);
  writeFileSync(config, readFileSync(config, 'utf8').replace(/^\[recall\]$/m, '[recall]\nevent_fd = "rdwr"'));
  const worse = await hsm(['doctor', '--json', '--config', config]);
  t.is(worse.exitCode, 0);
  const warnings = findings(worse.stdout).filter(({ status }) => status === 'warn').map(({ message }) => message);
  t.true(warnings.some((each) => each.includes(`${view} is a read-only view of ${mount}`)), worse.stdout);
  t.true(warnings.some((each) => each.includes('noatime')));
  t.true(warnings.some((each) => each.includes('can be read by other users')));
});

kernel('an ext4 whose inodes are too small for the stub record is a warning', async (t) => {
  const folder = temporaryFolder(t);
  const image = join(folder, 'image');
  const mount = join(folder, 'mount');
  mkdirSync(mount);
  writeFileSync(image, '');
  await execa('truncate', ['-s', '16M', image]);
  await execa('mkfs.ext4', ['-q', '-F', '-I', '128', image]);
  await execa('mount', ['-o', 'loop', image, mount]);
  t.teardown(() => execa('umount', [mount]));
  const { stdout } = await hsm(['doctor', '--json', '--config', writeConfig(folder, [mount])]);
  t.true(findings(stdout).some(({ status, message, advice }) => status === 'warn' && message.includes('inodes of 128 bytes') && (advice ?? '').includes('-I 256')), stdout);
});

test('the state of a running daemon is part of the findings', async (t) => {
  const folder = temporaryFolder(t);
  const drive = { name: 'drive0', state: 'failed', admin: 'up', reason: 'it smokes', barcode: null };
  const volume = { barcode: 'A00001L8', pool: null, state: 'full', reason: null, location: null, capacity: 10, used: 10, live: 5, objects: 1 };
  let status: object = {};
  const handler: Handler = async () => status;
  const server = await startControlServer({ path: join(folder, 'hsm.sock'), handlers: { status: handler } });
  t.teardown(() => server.close());
  const config = writeConfig(folder);
  const about = async (next: object) => {
    status = { daemon: { pid: process.pid, startedAt: '2026-01-01T00:00:00Z', version }, keeper: { pid: 1 }, filesystems: [], recalls: {}, drives: [drive], volumes: [volume], ...next };
    const { stdout } = await hsm(['doctor', '--json', '--config', config]);
    return findings(stdout).map(({ check, status: verdict }) => `${check} ${verdict}`);
  };
  const bad = await about({});
  t.true(bad.includes('daemon ok') && bad.includes('drives fail') && bad.includes('volumes warn'), bad.join());
  const half = await about({ drives: [drive, { ...drive, name: 'drive1', state: 'ready' }], volumes: [{ ...volume, state: 'suspect' }] });
  t.true(half.includes('drives warn') && half.includes('volumes warn'), half.join());
  const good = await about({ drives: [{ ...drive, state: 'empty' }], volumes: [{ ...volume, state: 'scratch', used: 0 }], filesystems: [{ path: '/x', type: 'ext4', guard: 'none', stubs: 3, archived: 0 }] });
  t.true(good.includes('drives ok') && good.includes('volumes ok') && good.includes('guard fail'), good.join());
  const old = await about({ daemon: { pid: process.pid, startedAt: '2026-01-01T00:00:00Z', version: '0.0.1' } });
  t.true(old.includes('daemon warn'));
});
