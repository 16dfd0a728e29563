/** Filesystems that come and go while a daemon runs. */
import { mkdirSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { Status } from '../../../src/daemon/status.ts';
import { filesystemTypes, keepDevice, kernelTest, loopFilesystem } from '../../fixtures/loopfs.ts';
import { stub } from '../../fixtures/keeper.ts';
import { managed, type Managed } from '../../fixtures/managed.ts';
import { isFree, mount, unmount } from '../../fixtures/mounting.ts';
import { openers } from '../../fixtures/opens.ts';
import { holdRecalls, isStub, makeStubs, queued, read, startRead } from '../../fixtures/stubs.ts';
import { until } from '../../fixtures/until.ts';

const realTest = kernelTest(test);
const limit = 60_000;
/** Mounts a filesystem; `MOUNTS=60` for docs/reliability.md. */
const rounds = Number(process.env['MOUNTS'] ?? 5);

const content = 'D'.repeat(9000);
const right = { exitCode: 0, stdout: content, stderr: '' };
const stubsOf = async (hsm: Managed, count: number): Promise<string[]> => makeStubs(hsm, Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index}`, content])));
const filesystemOf = async (hsm: Managed, path = hsm.mount) => (await hsm.status()).filesystems.find((each) => each.path === path);
const warns = (hsm: Managed, pattern: RegExp): Promise<unknown> => until(async () => pattern.test((await filesystemOf(hsm))?.warning ?? ''), limit, `a warning like ${pattern}`);

for (const type of filesystemTypes) {
  realTest(`on ${type} hsm umount frees the device, and hsm mount shows no stub unguarded`, async (t) => {
    const hsm = await managed(t, type);
    const paths = await stubsOf(hsm, rounds);
    const device = keepDevice(t, hsm.mount);
    const open = await openers(t);
    for (const path of paths) {
      t.deepEqual(await hsm.json('umount', hsm.mount), [{ path: hsm.mount, free: true, elsewhere: [] }]);
      t.true(isFree(device));
      t.like(await filesystemOf(hsm), { mounted: false, warning: 'not mounted' });
      const opener = open(path, 'D');
      await opener.saw('ENOENT');
      t.like(await hsm.hsm('mount', device, hsm.mount), { exitCode: 0, stderr: '' });
      await opener.saw('right', 'zeros', 'EAGAIN');
      const { ENOENT = 0, right: seen = 0, ...other } = await opener.end();
      t.true(ENOENT > 0 && seen > 0);
      t.deepEqual(other, {});
      t.like(await filesystemOf(hsm), { mounted: true, warning: null });
    }
  });

  realTest(`on ${type} a plain umount and mount under a daemon shows no stub unguarded`, async (t) => {
    const hsm = await managed(t, type);
    const paths = await stubsOf(hsm, rounds);
    const device = keepDevice(t, hsm.mount);
    const open = await openers(t);
    for (const path of paths) {
      await unmount(hsm.mount);
      t.false(isFree(device));
      await warns(hsm, /^not mounted, but held by hsm/);
      const opener = open(path, 'D');
      await opener.saw('ENOENT');
      await mount(device, hsm.mount);
      await opener.saw('right', 'zeros', 'EAGAIN');
      const { ENOENT = 0, right: seen = 0, ...other } = await opener.end();
      t.true(ENOENT > 0 && seen > 0);
      t.deepEqual(other, {});
    }
    await unmount(hsm.mount);
    t.deepEqual(await hsm.json('umount', hsm.mount), [{ path: hsm.mount, free: true, elsewhere: [] }]);
    t.true(isFree(device));
  });

  realTest(`on ${type} a plain mount after hsm umount is guarded at once, and reported`, async (t) => {
    const hsm = await managed(t, type);
    const [path = ''] = await stubsOf(hsm, 1);
    const device = keepDevice(t, hsm.mount);
    t.is((await hsm.hsm('umount', hsm.mount)).exitCode, 0);
    await mount(device, hsm.mount);
    await warns(hsm, /^was mounted unguarded at .*: use hsm mount$/);
    t.deepEqual(await read(path), right);
    t.regex((await hsm.hsm('status')).stdout, /^ +was mounted unguarded at /m);
  });
}

realTest('hsm umount is refused while a reader waits, and a lazy umount lets the reader have its file', async (t) => {
  const hsm = await managed(t, 'ext4');
  const [path = '', other = ''] = await stubsOf(hsm, 2);
  const device = keepDevice(t, hsm.mount);
  const release = await holdRecalls(hsm);
  const reader = startRead(path);
  await queued(hsm, 1);
  const refused = await hsm.hsm('umount', hsm.mount);
  t.is(refused.exitCode, 5);
  t.is(refused.stderr, `hsm: 1 stubs of ${hsm.mount} are being recalled, ${path} first: wait for them, or hsm queue and hsm cancel`);
  t.like(await filesystemOf(hsm), { mounted: true });

  await unmount('-l', hsm.mount);
  t.is((await hsm.hsm('umount', hsm.mount)).exitCode, 5);
  await release();
  t.like(await reader, right);
  await mount(device, hsm.mount);
  t.true(isStub(other));
  t.deepEqual(await read(other), right);
});

realTest('hsm umount of what is mounted elsewhere too says so; stubs there are refused until it is mounted again', async (t) => {
  const hsm = await managed(t, 'ext4');
  const [path = ''] = await stubsOf(hsm, 1);
  const device = keepDevice(t, hsm.mount);
  const elsewhere = join(hsm.folder, 'elsewhere');
  mkdirSync(elsewhere);
  await mount('--bind', hsm.mount, elsewhere);
  t.teardown(() => unmount(elsewhere));
  const left = await hsm.hsm('--json', 'umount', hsm.mount);
  t.is(left.exitCode, 3);
  t.deepEqual(JSON.parse(left.stdout), { path: hsm.mount, free: false, elsewhere: [elsewhere] });
  t.like(await read(join(elsewhere, 'f0')), { exitCode: 1, stdout: '' });
  t.is((await hsm.hsm('mount', device, hsm.mount)).exitCode, 0);
  await until(async () => (await filesystemOf(hsm))?.mounted === true, limit);
  t.true(isStub(path));
  t.deepEqual(await read(path), right);
});

realTest('stubs of another filesystem in the place of a managed one are refused, and it is reported', async (t) => {
  const hsm = await managed(t, 'ext4');
  const [path = ''] = await stubsOf(hsm, 1);
  const device = keepDevice(t, hsm.mount);
  const strange = await loopFilesystem(t, 'ext4');
  stub(strange, 'strange');
  const strangeDevice = keepDevice(t, strange);
  await unmount(strange);
  await unmount(hsm.mount);
  await mount(strangeDevice, hsm.mount);
  await warns(hsm, /^another filesystem is mounted in its place/);
  t.like(await read(join(hsm.mount, 'strange')), { exitCode: 1, stdout: '' });
  await unmount(hsm.mount);
  await mount(device, hsm.mount);
  await until(async () => (await filesystemOf(hsm))?.warning === null, limit);
  t.deepEqual(await read(path), right);
});

realTest('they are refused after a clean stop too, though the managed one has no stubs', async (t) => {
  const hsm = await managed(t, 'ext4');
  const strange = await loopFilesystem(t, 'ext4');
  stub(strange, 'strange');
  const strangeDevice = keepDevice(t, strange);
  await unmount(strange);
  await unmount(hsm.mount);
  await mount(strangeDevice, hsm.mount);
  await warns(hsm, /^another filesystem is mounted in its place/);
  t.is(await hsm.stopDaemon(), 0);
  t.like(await read(join(hsm.mount, 'strange')), { exitCode: 1, stdout: '' });
});

realTest('a daemon starts without a filesystem that is not mounted, and takes it when it is', async (t) => {
  const other = await loopFilesystem(t, 'xfs');
  const hsm = await managed(t, 'ext4', { init: ['--filesystem', other] });
  const device = keepDevice(t, other);
  const [path = ''] = await makeStubs({ ...hsm, mount: other }, { f: content });
  t.is(await hsm.stopDaemon(), 0);
  await unmount(other);
  await hsm.startDaemon();
  t.like(await filesystemOf(hsm, other), { mounted: false, warning: 'not mounted' });
  t.like(await filesystemOf(hsm), { mounted: true, warning: null });
  const refused = await hsm.hsm('recall', other);
  t.is(refused.exitCode, 1);
  t.is(refused.stderr, `hsm: ${other} is not mounted: hsm mount DEVICE ${other}`);
  t.is((await hsm.hsm('mount', device, other)).exitCode, 0);
  t.true(isStub(path));
  t.deepEqual(await read(path), right);
});

realTest('another filesystem where one was missing when the daemon started is one of its own: no stub of it is taken for one of the other', async (t) => {
  const other = await loopFilesystem(t, 'xfs');
  const hsm = await managed(t, 'ext4', { init: ['--filesystem', other] });
  const device = keepDevice(t, other);
  const [path = ''] = await makeStubs({ ...hsm, mount: other }, { f: content });
  const strange = await loopFilesystem(t, 'xfs');
  stub(strange, 'strange');
  const strangeDevice = keepDevice(t, strange);
  await unmount(strange);
  t.is(await hsm.stopDaemon(), 0);
  await unmount(other);
  await hsm.startDaemon();
  // The daemon starts again to match it with the catalogue.
  const isTaken = async (): Promise<boolean> => {
    const { exitCode, stdout } = await hsm.hsm('--json', 'status');
    return exitCode === 0 && (JSON.parse(stdout) as Status).filesystems.some((each) => each.path === other && each.mounted);
  };
  t.is((await hsm.hsm('mount', strangeDevice, other)).exitCode, 0);
  t.like(await read(join(other, 'strange')), { exitCode: 1, stdout: '' });
  await until(isTaken, limit);
  t.like(await read(join(other, 'strange')), { exitCode: 1, stdout: '' });
  await unmount(other);
  t.is((await hsm.hsm('mount', device, other)).exitCode, 0);
  t.regex((await read(path)).stderr, /Resource temporarily unavailable/);
  t.is(await hsm.stopDaemon(), 0);
  await hsm.startDaemon();
  t.deepEqual(await read(path), right);
});

realTest('only managed filesystems are unmounted, only by root, and not while a program uses them', async (t) => {
  const hsm = await managed(t, 'ext4');
  t.like(await hsm.hsm('umount', hsm.folder), { exitCode: 1, stdout: '' });
  const [path = ''] = await stubsOf(hsm, 1);
  const used = await openFile(path, 'r');
  const busy = await hsm.hsm('umount', hsm.mount);
  await used.close();
  t.is(busy.exitCode, 1);
  t.regex(busy.stderr, /^hsm: umount: .*target is busy/);
  t.like(await filesystemOf(hsm), { mounted: true });
});
