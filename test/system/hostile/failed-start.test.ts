/** A daemon that cannot start guards what there is to guard, and says what is wrong. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { kernelTest } from '../../fixtures/loopfs.ts';
import { managed, processesOf, type Managed } from '../../fixtures/managed.ts';
import { isStub, makeStubs, read } from '../../fixtures/stubs.ts';
import { until } from '../../fixtures/until.ts';

const realTest = kernelTest(test);

interface Fault {
  readonly exitCode: number;
  /** Takes away what the daemon needs to start; returns what puts it back. */
  readonly take: (hsm: Managed) => () => void;
}

const garbage: Fault = {
  exitCode: 1,
  take: ({ folder }) => {
    const path = join(folder, 'state', 'catalogue.db');
    const putBack = hide(path);
    writeFileSync(path, 'not a database. '.repeat(1000));
    return putBack;
  },
};

const faults: Readonly<Record<string, Fault>> = {
  'its catalogue is gone': { exitCode: 1, take: ({ folder }) => hide(join(folder, 'state', 'catalogue.db')) },
  'its catalogue is garbage': garbage,
  'its library is gone': { exitCode: 2, take: ({ library }) => hide(library) },
};

function hide(path: string): () => void {
  renameSync(path, `${path}.hidden`);
  return () => renameSync(`${path}.hidden`, path);
}

const nothingRuns = (hsm: Managed): Promise<boolean> => until(async () => (await processesOf(hsm.folder)).length === 0);

for (const [fault, { exitCode, take }] of Object.entries(faults)) {
  realTest(`stubs are denied after a daemon failed to start because ${fault}`, async (t) => {
    const hsm = await managed(t, 'ext4');
    const [stub = ''] = await makeStubs(hsm, { stub: 'original' });
    t.is(await hsm.stopDaemon(), 0);
    // Unmounted, so that no denier is left of the daemon before.
    await execa('umount', [hsm.mount], { timeout: 60_000 });
    await nothingRuns(hsm);
    await execa('mount', ['-o', 'loop', join(hsm.mount, '..', 'image'), hsm.mount], { timeout: 60_000 });
    const putBack = take(hsm);
    const failed = await hsm.hsm('--json', 'daemon');
    t.is(failed.exitCode, exitCode);
    t.is(failed.stdout, '');
    t.regex((JSON.parse(failed.stderr) as { error: { message: string } }).error.message, /catalogue\.db|library/);
    const denied = await read(stub);
    t.is(denied.stdout, '');
    t.regex(denied.stderr, /temporarily unavailable/);
    t.true(isStub(stub));
    putBack();
    await hsm.startDaemon();
    t.is((await read(stub)).stdout, 'original');
  });
}

realTest('nothing stays behind when a daemon fails to start and there are no stubs', async (t) => {
  const hsm = await managed(t, 'ext4');
  writeFileSync(join(hsm.mount, 'resident'), 'here');
  t.is(await hsm.stopDaemon(), 0);
  await nothingRuns(hsm);
  const putBack = garbage.take(hsm);
  const failed = await hsm.hsm('daemon');
  t.is(failed.exitCode, 1);
  t.regex(failed.stderr, /^hsm: .*catalogue\.db.*$/);
  t.true(await nothingRuns(hsm));
  putBack();
});
