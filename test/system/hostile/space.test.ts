import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { errorCode } from '../../../src/errors.ts';
import { filesystemTypes, kernelTest } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';
import { isStub, makeStubs, read, shell } from '../../fixtures/stubs.ts';

const realTest = kernelTest(test);
const mib = 2 ** 20;
const original = 'the original. '.repeat(1_000_000);

for (const type of filesystemTypes) {
  realTest(`on ${type} a recall onto a full disk fails with ENOSPC, leaves the stub as it was and works as soon as there is room`, async (t) => {
    const hsm = await managed(t, type, { recall: 'full_wait_s = 0' });
    const [stub = '', small = ''] = await makeStubs(hsm, { stub: original, small: original.slice(0, 2 * mib) });
    const filler = join(hsm.mount, 'filler');
    fill(filler);
    const denied = await read(stub);
    t.like(denied, { exitCode: 1, stdout: '' });
    t.regex(denied.stderr, /No space left/);
    t.true(isStub(stub));
    t.is((await hsm.json('ls', stub))[0]?.['state'], 'stub');
    t.regex((await hsm.hsm('recall', stub)).stderr, /could not be written|ENOSPC|No space|no room/);
    rmSync(filler);
    await shell('sync -f "$1"', hsm.mount);
    t.deepEqual(await read(stub), { exitCode: 0, stdout: original, stderr: '' });
    t.is((await read(small)).stdout, original.slice(0, 2 * mib));
  });
}

/** Takes all the space there is, to the last block. */
function fill(path: string): void {
  const fd = openSync(path, 'w');
  for (let size = 4 * mib, at = 0; size >= 4096; ) {
    try {
      at += writeSync(fd, Buffer.alloc(size, 1), 0, size, at);
    } catch (error) {
      if (errorCode(error) !== 'ENOSPC') throw error;
      size /= 2;
    }
  }
  closeSync(fd);
}

// The quota that every kernel with btrfs has; those of ext4 and xfs are an option of the kernel's.
realTest('a recall beyond a quota fails with EDQUOT, leaves the stub as it was and works below it', async (t) => {
  const hsm = await managed(t, 'btrfs');
  const btrfs = (...words: string[]) => execa('btrfs', [...words, hsm.mount], { timeout: 60_000 });
  const [stub = ''] = await makeStubs(hsm, { stub: original });
  await btrfs('quota', 'enable');
  await btrfs('quota', 'rescan', '-w');
  await btrfs('qgroup', 'limit', '8M');
  const denied = await read(stub);
  t.like(denied, { exitCode: 1, stdout: '' });
  t.regex(denied.stderr, /Disk quota exceeded/);
  t.true(isStub(stub));
  await btrfs('qgroup', 'limit', 'none');
  t.deepEqual(await read(stub), { exitCode: 0, stdout: original, stderr: '' });
});
