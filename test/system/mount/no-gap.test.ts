import test from 'ava';
import { execa } from 'execa';
import { filesystemTypes, keepDevice, kernelTest } from '../../fixtures/loopfs.ts';
import { managed, type Managed } from '../../fixtures/managed.ts';
import { openers } from '../../fixtures/opens.ts';
import { isStub, makeStubs, read } from '../../fixtures/stubs.ts';
import { until } from '../../fixtures/until.ts';

const realTest = kernelTest(test);
/** Mounts a filesystem and kind; `MOUNTS=60` for docs/reliability.md. */
const rounds = Number(process.env['MOUNTS'] ?? 8);

/** The event of an access that has just ended makes it busy for a moment. */
const unmount = (path: string): Promise<unknown> => until(async () => (await execa('umount', [path], { reject: false, timeout: 60_000 })).exitCode === 0, 60_000, `umount ${path}`);

const stubsOf = async (hsm: Managed): Promise<string[]> => makeStubs(hsm, Object.fromEntries(Array.from({ length: rounds }, (_, index) => [`f${index}`, 'D'.repeat(9000)])));

for (const type of filesystemTypes) {
  realTest(`on ${type} who opens a stub while it is mounted without a daemon never sees a zero, and gets the data when the daemon starts`, async (t) => {
    const hsm = await managed(t, type);
    const [path = ''] = await stubsOf(hsm);
    const device = keepDevice(t, hsm.mount);
    const open = await openers(t);
    await hsm.stopDaemon();
    await unmount(hsm.mount);

    for (let round = 0; round < rounds; round++) {
      const opener = open(path, 'D');
      await opener.saw('ENOENT');
      t.like(await hsm.hsm('mount', device, hsm.mount), { exitCode: 0, stderr: '' });
      await opener.saw('EAGAIN', 'zeros', 'right');
      const { ENOENT = 0, EAGAIN = 0, ...other } = await opener.end();
      t.true(ENOENT > 0 && EAGAIN > 0);
      t.deepEqual(other, {});
      await unmount(hsm.mount);
    }

    await hsm.hsm('mount', device, hsm.mount);
    await hsm.startDaemon();
    t.true(isStub(path));
    t.deepEqual(await read(path), { exitCode: 0, stdout: 'D'.repeat(9000), stderr: '' });
  });

  realTest(`on ${type} who opens a stub while it is mounted under a daemon gets the file`, async (t) => {
    const hsm = await managed(t, type);
    const paths = await stubsOf(hsm);
    const device = keepDevice(t, hsm.mount);
    const open = await openers(t);
    for (const path of paths) {
      await unmount(hsm.mount);
      const opener = open(path, 'D');
      await opener.saw('ENOENT');
      t.like(await hsm.hsm('mount', device, hsm.mount), { exitCode: 0, stderr: '' });
      await opener.saw('right', 'zeros', 'EAGAIN');
      const { ENOENT = 0, right = 0, ...other } = await opener.end();
      t.true(ENOENT > 0 && right > 0);
      t.deepEqual(other, {});
    }
  });
}

realTest('a plain mount with nobody there shows zeros: the tests above can fail', async (t) => {
  const hsm = await managed(t, 'ext4');
  const [path = ''] = await stubsOf(hsm);
  const device = keepDevice(t, hsm.mount);
  const open = await openers(t);
  await hsm.stopDaemon();
  await unmount(hsm.mount);
  const opener = open(path, 'D');
  await opener.saw('ENOENT');
  await execa('mount', [device, hsm.mount], { timeout: 60_000 });
  await opener.saw('zeros');
  t.true(((await opener.end())['zeros'] ?? 0) > 0);
});
