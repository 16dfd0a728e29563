import { closeSync, existsSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { execa } from 'execa';
import { keeperPath } from '../../src/native/index.ts';
import { cat, guarded, isRight, keeperOf, keeperProcesses, limit, startCat, stub, text, workerPid } from '../fixtures/keeper.ts';
import { filesystemTypes, kernelTest } from '../fixtures/loopfs.ts';
import { until } from '../fixtures/until.ts';

const realTest = kernelTest(test);

for (const type of filesystemTypes) {
  realTest(`on ${type} a reader of a stub waits and gets the file, and resident files are never asked about`, async (t) => {
    const { mount, start } = await guarded(t, type);
    const path = stub(mount, 'stub');
    writeFileSync(join(mount, 'resident'), 'here');
    const keeper = await start();
    t.is(text((await cat(join(mount, 'resident'))).stdout), 'here');
    t.true(isRight((await cat(path)).stdout));
    t.true(isRight((await cat(path)).stdout));
    t.is(keeper.lines.filter((line) => line.startsWith('event')).length, 1);
    t.like(JSON.parse((await keeper.saw(/^event/)).slice(6)), { uid: process.getuid?.() ?? -1, filesystem: 0, size: 10_000 });
  });

  realTest(`on ${type} a reader survives the daemon's kill -9 in the middle of its recall`, async (t) => {
    const { mount, start } = await guarded(t, type);
    const path = stub(mount, 'stub');
    const keeper = await start({ DELAY: '700' });
    const reader = cat(path);
    await keeper.saw(/^event/);
    process.kill(await workerPid(keeper), 'SIGKILL');
    t.true(isRight((await reader).stdout));
    t.not(await workerPid(keeper, 2), await workerPid(keeper));
    await keeper.saw(/^event/, 2);
  });

  realTest(`on ${type} a clean stop sends readers away with EAGAIN and leaves a denier that the next keeper relieves`, async (t) => {
    const { mount, start } = await guarded(t, type);
    const waited = stub(mount, 'waited');
    const later = stub(mount, 'later');
    const first = await start({ DELAY: '20000' });
    const reader = cat(waited);
    await first.saw(/^event/);
    t.is(await first.stop(), 0);
    const sent = await reader;
    t.regex(text(sent.stderr), /temporarily unavailable/);
    t.is(sent.stdout.length, 0);
    const denied = await cat(later);
    t.regex(text(denied.stderr), /temporarily unavailable/);
    t.is(denied.stdout.length, 0);
    await start();
    t.true(isRight((await cat(waited)).stdout));
    t.true(isRight((await cat(later)).stdout));
  });
}

realTest('a denier lets through what cannot be a stub: files with data, empty ones, and hollow ones that were made since', async (t) => {
  const { mount, state, start } = await guarded(t, 'ext4');
  const hollow = (name: string): string => {
    const path = join(mount, name);
    writeFileSync(path, '');
    truncateSync(path, 10_000);
    return path;
  };
  const older = hollow('older');
  const path = stub(mount, 'stub');
  writeFileSync(join(mount, 'data'), 'here');
  t.is(await (await start()).stop(), 0);
  await until(() => existsSync(join(state, 'takeover')));
  // Its owner writes nothing yet.
  t.true(Buffer.from((await cat(hollow('newer'))).stdout).equals(Buffer.alloc(10_000)));
  t.is(text((await cat(join(mount, 'data'))).stdout), 'here');
  writeFileSync(join(mount, 'empty'), '');
  t.is(text((await cat(join(mount, 'empty'))).stderr), '');
  for (const each of [older, path]) {
    const denied = await cat(each);
    t.is(denied.stdout.length, 0);
    t.regex(text(denied.stderr), /temporarily unavailable/);
  }
});

realTest('the denier ends when the filesystem is unmounted', async (t) => {
  const { mount, state, start } = await guarded(t, 'ext4');
  stub(mount, 'stub');
  const keeper = await start();
  t.is(await keeper.stop(), 0);
  t.is(keeperProcesses(state).filter((each) => !each.isWitness).length, 1);
  await execa('umount', [mount], { timeout: limit });
  for (const deadline = Date.now() + 10_000; keeperProcesses(state).length > 0 && Date.now() < deadline; ) await sleep(20);
  t.deepEqual(keeperProcesses(state), []);
});

realTest('a denier holds on for a filesystem that lives in another mount namespace only, and ends with it', async (t) => {
  const { mount, state, start } = await guarded(t, 'ext4');
  stub(mount, 'stub');
  const container = execa('unshare', ['-m', '--propagation', 'private', 'bash', '-c', `cd / && echo there && read -r && cat ${mount}/stub; read -r`], { reject: false, timeout: limit, buffer: false, all: true });
  t.teardown(() => container.kill());
  let printed = '';
  container.all.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  await until(() => printed.includes('there'));
  t.is(await (await start()).stop(), 0);
  await execa('umount', [mount], { timeout: limit });
  // Every change of mounts makes a denier look.
  for (let i = 0; i < 20; i += 1) {
    await execa('mount', ['-t', 'tmpfs', 'none', mount], { timeout: limit });
    await execa('umount', [mount], { timeout: limit });
  }
  container.stdin.write('\n');
  await until(() => /temporarily unavailable/.test(printed));
  t.true(keeperProcesses(state).some((each) => !each.isWitness));
  container.stdin.write('\n');
  await container;
  await until(() => keeperProcesses(state).length === 0);
  t.pass();
});

realTest('a denier that looks in the moment of an unmount does not take a filesystem that lives on for another one', async (t) => {
  const { mount, state, start } = await guarded(t, 'ext4');
  stub(mount, 'stub');
  const { stdout: device } = await execa('findmnt', ['-no', 'SOURCE', mount], { timeout: limit });
  const other = await mkdtemp(join(tmpdir(), 'hsm-other-'));
  t.teardown(() => rm(other, { recursive: true, force: true }));
  const container = execa('unshare', ['-m', '--propagation', 'private', 'bash', '-c', 'cd / && echo there && read -r'], { reject: false, timeout: limit, buffer: false });
  t.teardown(() => container.kill());
  await new Promise((resolve) => container.stdout.once('data', resolve));
  t.is(await (await start()).stop(), 0);
  // Each change of mounts makes a denier look at once.
  const rounds = [
    'import ctypes, sys, time',
    'libc = ctypes.CDLL(None, use_errno=True)',
    'other, path, device = (word.encode() for word in sys.argv[1:])',
    'def must(result):',
    '    if result != 0: sys.exit(f"errno {ctypes.get_errno()}")',
    'def unmount(what):',
    '    while libc.umount2(what, 0) != 0:',
    '        if ctypes.get_errno() != 16: must(-1)', // EBUSY while a denier looks
    'for pause in range(400):',
    '    must(libc.mount(b"none", other, b"tmpfs", 0, None))',
    '    unmount(other)',
    '    time.sleep(pause % 40 * 5e-6)',
    '    unmount(path)',
    '    time.sleep(0.003)',
    '    must(libc.mount(device, path, b"ext4", 0, None))',
    'unmount(path)',
  ];
  await execa('python3', ['-c', rounds.join('\n'), other, mount, device], { timeout: limit });
  t.true(keeperProcesses(state).some((each) => !each.isWitness));
  container.stdin.write('\n');
  await container;
  await until(() => keeperProcesses(state).length === 0);
});

realTest('a denier is not kept by another mount of the same device', async (t) => {
  const { mount, state, start } = await guarded(t, 'ext4');
  stub(mount, 'stub');
  const { stdout: device } = await execa('findmnt', ['-no', 'SOURCE', mount], { timeout: limit });
  t.is(await (await start()).stop(), 0);
  const held = openSync(device, 'r'); // a loop device goes with its last user
  t.teardown(() => closeSync(held));
  await execa('umount', [mount], { timeout: limit });
  await execa('mount', [device, mount], { timeout: limit });
  await until(() => keeperProcesses(state).length === 0);
  t.pass();
});

realTest('without a stub nothing stays behind after a clean stop', async (t) => {
  const { mount, state, start } = await guarded(t, 'ext4');
  writeFileSync(join(mount, 'resident'), 'here');
  const keeper = await start({ STUBS_LEFT: '0' });
  t.is(await keeper.stop(), 0);
  for (const deadline = Date.now() + 10_000; keeperProcesses(state).length > 0 && Date.now() < deadline; ) await sleep(20);
  t.deepEqual(keeperProcesses(state), []);
});

realTest('a denial carries its errno to the reader', async (t) => {
  const { mount, start } = await guarded(t, 'ext4');
  const path = stub(mount, 'full', 13);
  await start();
  const reader = await cat(path);
  t.regex(text(reader.stderr), /No space left/);
  t.is(reader.stdout.length, 0);
});

realTest('a stub is never let through, whatever the daemon answers', async (t) => {
  const { mount, start } = await guarded(t, 'ext4');
  const path = stub(mount, 'lie', 14);
  const keeper = await start();
  const reader = await cat(path);
  t.regex(text(reader.stderr), /Input\/output error/);
  t.is(reader.stdout.length, 0);
  await keeper.saw(/still a stub: denied/);
});

realTest('a killed reader leaves the queue', async (t) => {
  const { mount, start } = await guarded(t, 'ext4');
  const path = stub(mount, 'stub');
  const keeper = await start({ DELAY: '20000' });
  const reader = startCat(path);
  await keeper.saw(/^event/);
  reader.kill('SIGKILL');
  await reader;
  t.is(await keeper.saw(/^gone/), 'gone 1');
});

realTest('a second keeper for the same state is refused with exit code 5', async (t) => {
  const { mount, state, start } = await guarded(t, 'ext4');
  await start();
  const second = await execa(keeperPath, keeperOf(state, mount, '/bin/true'), { reject: false, timeout: limit });
  t.is(second.exitCode, 5);
  t.regex(second.stderr, /^hsm: a daemon already runs for this configuration .*$/);
});

realTest('the root filesystem is never guarded', async (t) => {
  const state = await mkdtemp(join(tmpdir(), 'hsm-keeper-'));
  t.teardown(() => rm(state, { recursive: true, force: true, maxRetries: 20 }));
  const refused = await execa(keeperPath, keeperOf(state, '/', '/bin/true'), { reject: false, timeout: limit });
  t.is(refused.exitCode, 1);
  t.regex(refused.stderr, /root filesystem/);
});

realTest('a daemon that never served anybody is not started again, and its exit code is passed on', async (t) => {
  const { mount, state } = await guarded(t, 'ext4');
  const keeper = await execa(keeperPath, keeperOf(state, mount, '/bin/sh', '-c', 'exit 2'), { reject: false, timeout: limit });
  t.is(keeper.exitCode, 2);
});

realTest('many readers of one stub all get the file', async (t) => {
  const { mount, start } = await guarded(t, 'ext4');
  const path = stub(mount, 'stub');
  await start({ DELAY: '300' });
  const readers = await Promise.all(Array.from({ length: 40 }, () => cat(path)));
  t.true(readers.every(({ stdout }) => isRight(stdout)));
  t.is(readFileSync(path, 'latin1'), 'D'.repeat(10_000));
});
