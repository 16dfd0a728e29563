import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { temporaryFolder } from '../fixtures/fake-daemon.ts';
import { filesystemTypes, kernelTest } from '../fixtures/loopfs.ts';
import { bin } from '../fixtures/managed.ts';

const realTest = kernelTest(test);
const limit = 240_000;

/** Nothing of the demo may be mounted, attached, running or on disk. */
async function assertNothingLeft(t: ExecutionContext, folder: string): Promise<void> {
  t.deepEqual(readdirSync(folder), []);
  t.false(readFileSync('/proc/self/mountinfo', 'utf8').includes(folder));
  t.false((await execa('losetup', ['-a'])).stdout.includes(folder));
  // The keeper's processes see the end of the filesystem, and follow it.
  for (const deadline = Date.now() + 10_000; commandsIn(folder).length > 0 && Date.now() < deadline; ) await sleep(20);
  t.deepEqual(commandsIn(folder), []);
}

function commandsIn(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => commandOf(pid))
    .filter((each) => each.includes(folder));
}

function commandOf(pid: string): string {
  try {
    return readFileSync(join('/proc', pid, 'cmdline'), 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

for (const type of filesystemTypes) {
  realTest(`the demo on ${type} reads every byte back in every way and leaves nothing`, async (t) => {
    t.timeout(limit);
    const folder = temporaryFolder(t);
    const { exitCode, stdout, stderr } = await execa(bin, ['demo', '--type', type, '--json'], { env: { TMPDIR: folder }, reject: false, timeout: limit });
    t.is(exitCode, 0, stderr);
    const numbers = JSON.parse(stdout) as Record<string, number> & { readers: string[] };
    t.true((numbers['files'] ?? 0) > 1000);
    t.true((numbers['freed'] ?? 0) > 50 * 2 ** 20);
    t.true(numbers.readers.includes('tar -S') && numbers.readers.includes('exec'));
    await assertNothingLeft(t, folder);
  });
}

realTest('a demo that is interrupted, wherever it is, leaves nothing and exits 130', async (t) => {
  t.timeout(limit);
  for (const until of ['from /usr', 'cartridges of', 'ready', 'hsm ls', 'first byte', 'hsm recall']) {
    const folder = temporaryFolder(t);
    const demo = execa(bin, ['demo'], { env: { TMPDIR: folder }, reject: false, timeout: limit, all: true });
    let said = '';
    demo.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(until)) demo.kill('SIGINT');
    });
    const { exitCode } = await demo;
    t.is(exitCode, 130, `interrupted at '${until}': ${said}`);
    await assertNothingLeft(t, folder);
  }
});
