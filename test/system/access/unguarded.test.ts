import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { accessCases, layOut, runTrial, users } from '../../../src/access/index.ts';
import { native } from '../../../src/native/index.ts';
import { stubXattr } from '../../../src/stub.ts';
import { kernelTest, loopFilesystem } from '../../fixtures/loopfs.ts';

const realTest = kernelTest(test);
const limitMs = 60_000;

/** They need no byte of what was there. */
const blind = ['truncate-zero', 'open-trunc', 'creat', 'cp onto it', 'shell >', 'stat, ls, du, find, test'];

/** As eviction leaves a file, with nobody to bring it back. */
function hollow(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const fd = openSync(join(entry.parentPath, entry.name), 'r+');
    native.setxattr(fd, stubXattr, Buffer.alloc(64, 1));
    native.punchHole(fd, 0, Math.max(4096, Math.ceil(native.statx(fd, '').size / 4096) * 4096));
    closeSync(fd);
  }
}

realTest('without a keeper no access path counts as right: the suite sees zeros where they are', async (t) => {
  t.timeout(300_000);
  const mount = await loopFilesystem(t, 'xfs', 512);
  const elsewhere = mkdtempSync(join(tmpdir(), 'hsm-access-'));
  t.teardown(() => rmSync(elsewhere, { recursive: true, force: true }));
  for (const path of [join(mount, '..'), mount, elsewhere]) chmodSync(path, 0o755);
  const folder = join(mount, 'access');
  mkdirSync(folder);
  const trials = await layOut(accessCases, users.slice(1), { folder, type: 'xfs', elsewhere });
  hollow(folder);
  let wrong = 0;
  for (const trial of trials) {
    const { result, reason } = await runTrial(trial, limitMs);
    if (result === 'wrong') wrong += 1;
    if (!blind.includes(trial.case.name)) t.not(result, 'right', `${trial.case.name}: ${reason ?? ''}`);
  }
  t.true(wrong > trials.length / 2, `${wrong} of ${trials.length}`);
});
