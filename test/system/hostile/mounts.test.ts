import test from 'ava';
import { execa } from 'execa';
import { filesystemTypes, kernelTest } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';
import { isStub, makeStubs, read, shell } from '../../fixtures/stubs.ts';

const realTest = kernelTest(test);
const original = 'the original. '.repeat(1000);

for (const type of filesystemTypes) {
  realTest(`on ${type} a stub is right or an error whatever is mounted and unmounted under the daemon`, async (t) => {
    const hsm = await managed(t, type);
    const paths = await makeStubs(hsm, Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`f${index}`, `${index} ${original}`])));
    const mount = (...words: string[]) => execa('mount', words, { timeout: 60_000 });
    const unmount = (path: string) => execa('umount', [path], { timeout: 60_000 });
    const isRight = async (index: number, path = paths[index]!): Promise<void> => {
      t.deepEqual(await read(path), { exitCode: 0, stdout: `${index} ${original}`, stderr: '' });
    };

    await mount('-o', 'remount,ro', hsm.mount);
    const denied = await read(paths[0]!);
    t.like(denied, { exitCode: 1, stdout: '' });
    await mount('-o', 'remount,rw', hsm.mount);
    await isRight(0);

    const { stdout: device } = await execa('findmnt', ['-no', 'SOURCE', hsm.mount], { timeout: 10_000 });
    await unmount(hsm.mount);
    await mount(device, hsm.mount);
    t.true(isStub(paths[1]!));
    await isRight(1);

    // A second mount at another place, and the first gone.
    const other = `${hsm.folder}/other`;
    await shell('mkdir "$1"', other);
    await mount(device, other);
    await unmount(hsm.mount);
    await isRight(2, `${other}/f2`);
    await mount('--bind', other, hsm.mount);
    await unmount(other);
    await isRight(3);
    t.is((await hsm.json('ls', paths[4]!))[0]?.['state'], 'stub');
    await isRight(4);

    // With nothing mounted, and the daemon stopped and started meanwhile.
    t.is(await hsm.stopDaemon(), 0);
    t.like(await read(paths[5]!), { exitCode: 1, stdout: '' });
    await hsm.startDaemon();
    await isRight(5);
  });
}
