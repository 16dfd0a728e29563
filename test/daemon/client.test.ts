import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { connect, daemonAnswers, withClient } from '../../src/daemon/client.ts';
import { exitCodes, HsmError } from '../../src/errors.ts';
import { fakeDaemon, temporaryFolder } from '../fixtures/fake-daemon.ts';

/** A server that says what it is told to. */
async function strangeServer(t: ExecutionContext, talk: (socket: Socket) => void): Promise<string> {
  const path = join(temporaryFolder(t), 'sock');
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(async () => {
    for (const each of sockets) each.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return path;
}

const hello = '{"hsm":"9.9.9","protocol":1,"pid":42}\n';

test('without a daemon connecting fails with NO_DAEMON, exit 4, and says how to start one', async (t) => {
  const error = await t.throwsAsync(connect(join(temporaryFolder(t), 'none.sock')), { instanceOf: HsmError, code: 'NO_DAEMON' });
  t.is(error.exit, exitCodes.noDaemon);
  t.regex(error.message, /hsm daemon/);
});

test('a daemon of another protocol is told apart from no daemon', async (t) => {
  const path = await strangeServer(t, (socket) => socket.write('{"hsm":"9.9.9","protocol":2,"pid":42}\n'));
  const error = await t.throwsAsync(connect(path), { code: 'PROTOCOL' });
  t.regex(error.message, /9\.9\.9.*restart/);
});

test('a program that is no daemon is told apart too', async (t) => {
  await t.throwsAsync(connect(await strangeServer(t, (socket) => socket.write('SSH-2.0-x\r\n'))), { code: 'PROTOCOL' });
  await t.throwsAsync(connect(await strangeServer(t, (socket) => socket.write('null\n'))), { code: 'PROTOCOL' });
});

test('a server that stays silent is given up', async (t) => {
  const path = await strangeServer(t, () => undefined);
  await t.throwsAsync(connect(path, 100), { code: 'NO_DAEMON' });
  t.is((await daemonAnswers(path, 100))?.pid, 0);
});

test('daemonAnswers is null where nobody listens and the greeting where somebody does', async (t) => {
  t.is(await daemonAnswers(join(temporaryFolder(t), 'none.sock')), null);
  const { server } = await fakeDaemon(t, {});
  t.is((await daemonAnswers(server.path))?.pid, process.pid);
});

test('a daemon that dies before it answers is NO_DAEMON for every request in flight', async (t) => {
  const path = await strangeServer(t, (socket) => {
    socket.write(hello);
    socket.once('data', () => socket.destroy());
  });
  const client = await connect(path);
  const calls = [client.call('status'), client.call('queue')];
  for (const call of calls) await t.throwsAsync(call, { code: 'NO_DAEMON' });
  await t.throwsAsync(client.call('status'), { code: 'NO_DAEMON' });
});

test('answers find their requests in whatever order they come', async (t) => {
  const { server } = await fakeDaemon(t, {
    status: async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return 'slow';
    },
    queue: async () => 'quick',
  });
  await withClient(server.path, async (client) => {
    t.deepEqual(await Promise.all([client.call('status'), client.call('queue')]), ['slow', 'quick']);
  });
});

test('progress and rows reach their listeners', async (t) => {
  const progress = { phase: 'writing', files: 1, bytes: 2, totalFiles: null, totalBytes: null };
  const { server } = await fakeDaemon(t, {
    archive: async (_, call) => {
      call.progress(progress);
      await call.row({ path: '/a' });
      return 'done';
    },
  });
  await withClient(server.path, async (client) => {
    const seen: unknown[] = [];
    t.is(await client.call('archive', {}, { progress: (each) => seen.push(each), row: (row) => seen.push(row) }), 'done');
    t.deepEqual(seen, [progress, { path: '/a' }]);
    t.deepEqual(await client.rows('archive'), [{ path: '/a' }]);
  });
});

test('an exit code that is not documented counts as failure', async (t) => {
  const path = await strangeServer(t, (socket) => {
    socket.write(hello);
    socket.once('data', () => socket.write('{"id":1,"error":{"code":"X","message":"m","exit":77}}\n'));
  });
  await withClient(path, async (client) => {
    const error = await t.throwsAsync(client.call('status'), { code: 'X' });
    t.is((error as HsmError).exit, exitCodes.failed);
  });
});

test('a list of paths that fits no request is a usage error, not a broken connection', async (t) => {
  const { server } = await fakeDaemon(t, { recall: async () => 'done' });
  await withClient(server.path, async (client) => {
    await t.throwsAsync(client.call('recall', { paths: ['x'.repeat(17 * 2 ** 20)] }), { code: 'USAGE' });
    t.is(await client.call('recall', { paths: [] }), 'done');
  });
});
