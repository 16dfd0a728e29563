import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { keeperPath, native } from '../../src/native/index.ts';
import { stubXattr } from '../../src/stub.ts';
import { filesystemTypes, kernelTest, loopFilesystem, type FilesystemType } from '../fixtures/loopfs.ts';

const fakeDaemon = fileURLToPath(new URL('../fixtures/fake-worker.ts', import.meta.url));
const limit = 120_000;

interface RunningKeeper {
  readonly lines: readonly string[];
  /** The count-th line that matches, as soon as it is there. */
  readonly saw: (pattern: RegExp, count?: number) => Promise<string>;
  /** SIGTERM, and its exit code. */
  readonly stop: () => Promise<number | undefined>;
}

interface Guarded {
  readonly mount: string;
  readonly state: string;
  readonly start: (env?: Record<string, string>) => Promise<RunningKeeper>;
}

async function guarded(t: ExecutionContext, type: FilesystemType): Promise<Guarded> {
  const mount = await loopFilesystem(t, type, 64);
  const state = await mkdtemp(join(tmpdir(), 'hsm-keeper-'));
  t.teardown(() => rm(state, { recursive: true, force: true, maxRetries: 20 }));
  return { mount, state, start: (env = {}) => startKeeper(t, mount, state, env) };
}

const keeperOf = (state: string, mount: string, ...daemon: string[]): string[] => [
  ...['--lock', join(state, 'lock'), '--takeover', join(state, 'takeover'), '--filesystem', mount],
  ...['--', ...daemon],
];

async function startKeeper(t: ExecutionContext, mount: string, state: string, env: Record<string, string>): Promise<RunningKeeper> {
  const child = execa(keeperPath, keeperOf(state, mount, process.execPath, fakeDaemon), { env, reject: false, timeout: limit });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts);
    });
  }
  const saw = async (pattern: RegExp, count = 1): Promise<string> => {
    for (const deadline = Date.now() + 60_000; ; ) {
      const found = lines.filter((line) => pattern.test(line))[count - 1];
      if (found !== undefined) return found;
      if (Date.now() > deadline) throw new Error(`never saw ${pattern}: ${lines.join(' | ')}`);
      await sleep(5);
    }
  };
  const stop = async (): Promise<number | undefined> => {
    child.kill('SIGTERM');
    return (await child).exitCode;
  };
  t.teardown(stop);
  await saw(/^ready$/);
  return { lines, saw, stop };
}

/** A file whose data was punched away, as eviction leaves it; the fake daemon brings back that many 'D's. */
function stub(mount: string, name: string, size = 10_000): string {
  const path = join(mount, name);
  writeFileSync(path, Buffer.alloc(size, 'D'));
  const fd = openSync(path, 'r+');
  native.setxattr(fd, stubXattr, Buffer.alloc(64, 1));
  native.punchHole(fd, 0, Math.ceil(size / 4096) * 4096);
  closeSync(fd);
  return path;
}

interface Cat {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}

const startCat = (path: string) => execa('cat', [path], { reject: false, encoding: 'buffer', timeout: limit, stripFinalNewline: false });

const cat = async (path: string): Promise<Cat> => startCat(path);

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const isRight = (output: Uint8Array, size = 10_000): boolean => Buffer.from(output).equals(Buffer.alloc(size, 'D'));

const workerPid = async (keeper: RunningKeeper, count = 1): Promise<number> => Number((await keeper.saw(/^worker \d+$/, count)).split(' ')[1]);

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

realTest('the denier ends when the filesystem is unmounted', async (t) => {
  const { mount, state, start } = await guarded(t, 'ext4');
  stub(mount, 'stub');
  const keeper = await start();
  t.is(await keeper.stop(), 0);
  const deniers = async (): Promise<string[]> => {
    const { stdout } = await execa('pgrep', ['-f', `^${keeperPath} --lock ${state}`], { reject: false, timeout: limit });
    return stdout.split('\n').filter(Boolean);
  };
  t.is((await deniers()).length, 1);
  await execa('umount', [mount], { timeout: limit });
  for (const deadline = Date.now() + 10_000; (await deniers()).length > 0 && Date.now() < deadline; ) await sleep(20);
  t.deepEqual(await deniers(), []);
});

realTest('without a stub nothing stays behind after a clean stop', async (t) => {
  const { mount, state, start } = await guarded(t, 'ext4');
  writeFileSync(join(mount, 'resident'), 'here');
  const keeper = await start({ STUBS_LEFT: '0' });
  t.is(await keeper.stop(), 0);
  t.is((await execa('pgrep', ['-f', `^${keeperPath} --lock ${state}`], { reject: false, timeout: limit })).stdout, '');
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
