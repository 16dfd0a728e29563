import test from 'ava';
import { execa } from 'execa';
import { filesystemTypes, kernelTest } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';
import { isStub, makeStubs, queued, startRead } from '../../fixtures/stubs.ts';

const realTest = kernelTest(test);
const original = 'the original. '.repeat(1000);
/** As many as the daemon has threads for such work, and more. */
const count = 12;

for (const type of filesystemTypes) {
  realTest(`on ${type} recalls wait for the thaw of a frozen filesystem, the daemon goes on answering, and then all are right`, async (t) => {
    const hsm = await managed(t, type);
    const paths = await makeStubs(hsm, Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index}`, `${index} ${original}`])));
    const freeze = (how: '-f' | '-u') => execa('fsfreeze', [how, hsm.mount], { timeout: 60_000 });
    await freeze('-f');
    let frozen = true;
    t.teardown(async () => {
      if (frozen) await freeze('-u');
    });
    const readers = paths.map((path) => startRead(path));
    await queued(hsm, count);
    t.is((await hsm.status()).recalls.failed, 0);
    t.is((await hsm.json('ls', ...paths)).length, count);
    t.true(paths.every((path) => isStub(path)));
    await freeze('-u');
    frozen = false;
    for (const [index, reader] of readers.entries()) {
      const { exitCode, stdout } = await reader;
      t.is(exitCode, 0);
      t.is(stdout, `${index} ${original}`);
    }
  });
}
