import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { createServer, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { native, projectRoot, type FdChannel } from '../../src/native/index.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';
import { testing } from '../fixtures/testing.ts';

interface Received {
  readonly data: Buffer;
  readonly fds: readonly number[];
}

interface End {
  readonly channel: FdChannel;
  readonly received: Received[];
  /** Messages in each callback. */
  readonly calls: number[];
  closes: number;
}

function pair(): [End, End] {
  const [left, right] = native.socketpair();
  return [open(left), open(right)];
}

function open(fd: number): End {
  const end: Omit<End, 'channel'> = { received: [], calls: [], closes: 0 };
  const channel = new native.FdChannel(
    fd,
    (messages) => {
      end.received.push(...messages);
      end.calls.push(messages.length);
    },
    () => void end.closes++,
  );
  return Object.assign(end, { channel });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

test('messages arrive whole and in order, up to 64 KiB', async (t) => {
  const [left, right] = pair();
  const sent = [Buffer.from('a'), Buffer.alloc(65536, 7), Buffer.from('end')];
  for (const each of sent) t.true(left.channel.send(each));
  await until(() => right.received.length === 3);
  t.deepEqual(right.received, sent.map((data) => ({ data, fds: [] })));
  t.true(right.channel.send(Buffer.from('answer')));
  await until(() => left.received.length === 1);
  left.channel.close();
  right.channel.close();
});

test('32 descriptors travel with a message, close-on-exec, and belong to the receiver', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  writeFileSync(path, 'content');
  const [left, right] = pair();
  const mine = openSync(path, 'r');
  t.true(left.channel.send(Buffer.from('x'), Array<number>(32).fill(mine)));
  closeSync(mine);
  await until(() => right.received.length === 1);
  const fds = right.received[0]?.fds ?? [];
  t.is(new Set(fds).size, 32);
  t.is(readFileSync(fds[31] ?? -1, 'utf8'), 'content');
  t.regex(readFileSync(`/proc/self/fdinfo/${fds[0]}`, 'utf8'), /flags:\s*02/);
  for (const fd of fds) testing.closeFd(fd);
  t.throws(() => left.channel.send(Buffer.from('x'), Array<number>(33).fill(0)), { code: 'EMSGSIZE' });
  t.throws(() => left.channel.send(Buffer.from('x'), [-1]), { code: 'EBADF' });
  left.channel.close();
  right.channel.close();
});

test('empty and oversized messages are refused', (t) => {
  const [left, right] = pair();
  t.throws(() => left.channel.send(Buffer.alloc(0)), { code: 'EMSGSIZE' });
  t.throws(() => left.channel.send(Buffer.alloc(65537)), { code: 'EMSGSIZE' });
  left.channel.close();
  right.channel.close();
});

test('all that waits is delivered in one callback, but no more than 64 messages', async (t) => {
  const [left, right] = pair();
  for (let i = 0; i < 150; i++) t.true(left.channel.send(Buffer.from([i])));
  await until(() => right.received.length === 150);
  t.deepEqual(right.calls, [64, 64, 22]);
  t.deepEqual(right.received.map((each) => each.data[0]), Array.from({ length: 150 }, (_, i) => i));
  left.channel.close();
  right.channel.close();
});

test('what the peer sent before it went away still arrives; then onClose is called once', async (t) => {
  const [left, right] = pair();
  left.channel.send(Buffer.from('last words'));
  left.channel.close();
  await until(() => right.closes > 0);
  t.is(right.received.length, 1);
  t.false(right.channel.send(Buffer.from('hello?')));
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.is(right.closes, 1);
  t.is(left.closes, 0, 'the own close() is not reported');
});

test('close() is final and closes the descriptor', async (t) => {
  const [leftFd, rightFd] = native.socketpair();
  const [left, right] = [open(leftFd), open(rightFd)];
  const socket = readlinkSync(`/proc/self/fd/${rightFd}`);
  left.channel.send(Buffer.from('unread'));
  right.channel.close();
  right.channel.close();
  t.false(existsSync(`/proc/self/fd/${rightFd}`) && readlinkSync(`/proc/self/fd/${rightFd}`) === socket);
  t.false(right.channel.send(Buffer.from('x')));
  await until(() => left.closes === 1);
  t.is(right.received.length, 0);
});

test('close() from inside the callback is safe', async (t) => {
  const [leftFd, rightFd] = native.socketpair();
  const left = open(leftFd);
  let calls = 0;
  const right: FdChannel = new native.FdChannel(
    rightFd,
    () => {
      calls++;
      right.close();
    },
    () => t.fail('onClose after close()'),
  );
  for (let i = 0; i < 100; i++) left.channel.send(Buffer.from([i]));
  await until(() => left.closes === 1);
  t.is(calls, 1);
});

test('a full socket is waited for and then reported', (t) => {
  const [left, right] = native.socketpair();
  const end = open(left);
  const fill = (): void => {
    for (let i = 0; i < 1000; i++) end.channel.send(Buffer.alloc(65536));
  };
  t.throws(fill, { code: 'EAGAIN', message: /sendmsg/ });
  end.channel.close();
  testing.closeFd(right);
});

test('a descriptor that cannot be watched is refused and stays the caller\'s', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  const fd = openSync(path, 'w');
  const make = () => new native.FdChannel(fd, () => undefined, () => undefined);
  t.throws(make, { code: 'EPERM' });
  t.notThrows(() => closeSync(fd));
  t.throws(() => new native.FdChannel(-1, () => undefined, () => undefined), { code: 'EBADF' });
  t.throws(() => new native.FdChannel(0, undefined as unknown as () => void, () => undefined), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('what a callback throws is an uncaught exception, and the channel goes on', (t) => {
  const script = `
    import { native } from '${projectRoot}src/native/index.ts';
    const [a, b] = native.socketpair();
    let calls = 0;
    process.on('uncaughtException', (error) => console.log('caught', error.message));
    const right = new native.FdChannel(b, () => {
      if (++calls === 1) { left.send(Buffer.from('second')); throw new Error('first'); }
      console.log('second arrived');
      right.close();
    }, () => undefined);
    const left = new native.FdChannel(a, () => undefined, () => left.close());
    left.send(Buffer.from('first'));`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000, encoding: 'utf8' });
  t.is(child.stderr, '');
  t.is(child.stdout, 'caught first\nsecond arrived\n');
  t.is(child.status, 0);
});

test('peerCredentials names the process at the other end', async (t) => {
  const path = join(await temporaryFolder(t), 'socket');
  const server = createServer().listen(path);
  const client = connect(path);
  const [accepted] = (await once(server, 'connection')) as [Socket & { _handle: { fd: number } }];
  t.teardown(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });
  t.like(native.peerCredentials(accepted._handle.fd), { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
  const supplementary = /^Groups:[ \t]*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  t.is(native.peerCredentials(accepted._handle.fd).groups.join(' '), supplementary.trim());
  t.throws(() => native.peerCredentials(-1), { code: 'EBADF' });
});
