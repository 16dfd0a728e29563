import { once } from 'node:events';
import { chmodSync, existsSync, linkSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { connect } from '../../src/daemon/client.ts';
import { startControlServer, type Call, type Handlers, type Peer } from '../../src/daemon/server.ts';
import { HsmError } from '../../src/errors.ts';
import { fakeDaemon, temporaryFolder } from '../fixtures/fake-daemon.ts';
import { hsm, jsonLines } from '../fixtures/hsm.ts';

const root: Peer = { pid: 1, uid: 0, gid: 0, groups: [0] };
const user: Peer = { pid: 2, uid: 1000, gid: 1000, groups: [1000] };
const member: Peer = { pid: 3, uid: 1001, gid: 1001, groups: [1001, 777] };

/** A connection that is not a Client: what it sends need not be a request. */
class Raw {
  readonly socket: Socket;
  text = '';
  constructor(path: string) {
    this.socket = createConnection(path);
    this.socket.on('data', (chunk: Buffer) => (this.text += chunk.toString()));
    this.socket.on('error', () => undefined);
  }

  get lines(): Record<string, unknown>[] {
    return jsonLines(this.text.slice(0, this.text.lastIndexOf('\n') + 1));
  }
}

/** What a module that has `startControlServer` and `statSync` prints in a process of its own. */
async function inChild(script: string): Promise<string> {
  const server = JSON.stringify(new URL('../../src/daemon/server.ts', import.meta.url).href);
  const module = `import { statSync } from 'node:fs';\nimport { startControlServer } from ${server};\n${script}`;
  const { stdout } = await execa(process.execPath, ['--input-type=module', '-e', module], { timeout: 30_000 });
  return stdout;
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i += 1) await sleep(10);
}

test('a connection is greeted, gets rows, then one result', async (t) => {
  const { server } = await fakeDaemon(t, {
    jobs: async (params, call) => {
      await call.row({ id: 'j2' });
      await call.row({ id: 'j1' });
      return { limit: params['limit'] };
    },
  });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  t.is(client.hello.protocol, 1);
  t.is(client.hello.pid, process.pid);
  const rows: unknown[] = [];
  t.deepEqual(await client.call('jobs', { limit: 7 }, { row: (row) => rows.push(row) }), { limit: 7 });
  t.deepEqual(rows, [{ id: 'j2' }, { id: 'j1' }]);
});

test('the folder is made 0755 and the socket 0666, whatever the umask', async (t) => {
  const path = join(temporaryFolder(t), 'run', 'hsm.sock');
  const modes = await inChild(`
    process.umask(0o077);
    const server = await startControlServer({ path: ${JSON.stringify(path)}, handlers: {} });
    console.log([${JSON.stringify(join(path, '..'))}, server.path].map((each) => (statSync(each).mode & 0o777).toString(8)).join());
    await server.close();`);
  t.is(modes, '755,666');
});

test('an error of a handler arrives with code, message, path and exit code', async (t) => {
  const { server } = await fakeDaemon(t, {
    status: async () => {
      throw new HsmError('NOT_MANAGED', '/x is on no managed filesystem', { path: '/x', exit: 5 });
    },
  });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  const error = await t.throwsAsync(client.call('status'), { instanceOf: HsmError, code: 'NOT_MANAGED' });
  t.like(error, { message: '/x is on no managed filesystem', path: '/x', exit: 5 });
});

test('an unexpected failure of a handler is told to the daemon and to the client, and the server goes on', async (t) => {
  const seen: unknown[] = [];
  const { server } = await fakeDaemon(t, { status: async () => Promise.reject(new TypeError('a bug')), jobs: async () => 1 }, { onError: (error) => seen.push(error) });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  await t.throwsAsync(client.call('status'), { code: 'INTERNAL' });
  t.is(seen.length, 1);
  t.is(await client.call('jobs'), 1);
});

const garbage = test.macro({
  exec: async (t: ExecutionContext, bytes: Buffer | string, code: string) => {
    const { server } = await fakeDaemon(t, { status: async () => 'alive' });
    const raw = new Raw(server.path);
    const closed = once(raw.socket, 'close');
    raw.socket.write(bytes);
    await closed;
    t.is((raw.lines.at(-1)?.['error'] as Record<string, unknown>)['code'], code);
    const client = await connect(server.path);
    t.is(await client.call('status'), 'alive');
    client.close();
  },
  title: (what) => `the server hangs up on ${what} and goes on`,
});

test('bytes that are no JSON', garbage, Buffer.from([0xff, 0xfe, 0, 10]), 'BAD_REQUEST');
test('JSON that is no object', garbage, '[1]\n', 'BAD_REQUEST');
test('null', garbage, 'null\n', 'BAD_REQUEST');
test('a request without an id', garbage, '{"method":"status"}\n', 'BAD_REQUEST');
test('id 0', garbage, '{"id":0,"method":"status"}\n', 'BAD_REQUEST');
test('a fractional id', garbage, '{"id":1.5,"method":"status"}\n', 'BAD_REQUEST');
test('parameters that are a list', garbage, '{"id":1,"method":"status","params":[]}\n', 'BAD_REQUEST');
test('a thousand brackets', garbage, `${'['.repeat(100_000)}\n`, 'BAD_REQUEST');
test('a line longer than 16 MiB', garbage, Buffer.alloc(16 * 2 ** 20 + 1, 0x20), 'LINE_TOO_LONG');

test('a method that the daemon does not know is an error of that request only', async (t) => {
  const { server } = await fakeDaemon(t, { status: async () => 'alive' });
  const raw = new Raw(server.path);
  t.teardown(() => raw.socket.destroy());
  raw.socket.write('{"id":1,"method":"constructor"}\n{"id":2,"method":"toString"}\n{"id":3,"method":"status"}\n');
  await until(() => raw.lines.length === 4);
  t.deepEqual(
    raw.lines.slice(1).map((line) => (line['error'] as Record<string, unknown> | undefined)?.['code'] ?? line['result']),
    ['UNKNOWN_METHOD', 'UNKNOWN_METHOD', 'alive'],
  );
});

const everyMethod: Handlers = Object.fromEntries(
  ['archive', 'release', 'recall', 'files', 'status', 'queue', 'jobs', 'cancel', 'tapes', 'tape', 'tapeAdd', 'drives', 'setDrive', 'verify', 'events'].map((method) => [
    method,
    async (_: unknown, call: Call) => call.operator,
  ]),
);

const answers = test.macro({
  exec: async (t: ExecutionContext, peer: Peer, allowed: readonly string[], operator: boolean) => {
    const { server } = await fakeDaemon(t, everyMethod, { credentials: () => peer, operatorGid: 777 });
    const client = await connect(server.path);
    t.teardown(() => client.close());
    for (const method of Object.keys(everyMethod)) {
      const answer = client.call(method as keyof Handlers, { id: 'r1' });
      if (allowed.includes(method)) t.is(await answer, operator, method);
      else await t.throwsAsync(answer, { code: 'EPERM' }, method);
    }
  },
  title: (who) => `${who}`,
});

test('root may do everything', answers, root, Object.keys(everyMethod), true);
test('a member of the group hsm may do everything', answers, member, Object.keys(everyMethod), true);
test('another user may ask for status, queue and files, and cancel', answers, user, ['status', 'queue', 'files', 'cancel'], false);

test('who the peer is comes from the kernel', async (t) => {
  const { config, folder } = await fakeDaemon(t, { status: async () => ({}), jobs: async () => null });
  chmodSync(folder, 0o755);
  const nobody = { uid: 65534, gid: 65534, cwd: '/' };
  const refused = await hsm(['jobs', '--json', '--config', config], nobody);
  t.is(refused.exitCode, 1);
  t.like(jsonLines(refused.stderr)[0], { error: { code: 'EPERM' } });
  t.is((await hsm(['jobs', '--config', config])).exitCode, 0);
  chmodSync(join(folder, 'hsm.sock'), 0o600);
  const noAccess = await hsm(['jobs', '--json', '--config', config], nobody);
  t.like(jsonLines(noAccess.stderr)[0], { error: { code: 'EACCES' } });
});

test('other users get 16 connections each, so that root always gets one', async (t) => {
  let peer = user;
  const { server } = await fakeDaemon(t, { status: async () => 'alive' }, { credentials: () => peer, operatorGid: 777 });
  const raws = Array.from({ length: 20 }, () => new Raw(server.path));
  t.teardown(() => {
    for (const each of raws) each.socket.destroy();
  });
  await until(() => raws.filter((each) => each.socket.destroyed).length >= 4);
  t.is(raws.filter((each) => each.socket.destroyed).length, 4);
  peer = root;
  const client = await connect(server.path);
  t.is(await client.call('status'), 'alive');
  client.close();
});

test('other users may send lines of 1 MiB', async (t) => {
  const { server } = await fakeDaemon(t, { status: async () => 'alive' }, { credentials: () => user, operatorGid: null });
  const raw = new Raw(server.path);
  const closed = once(raw.socket, 'close');
  raw.socket.write(Buffer.alloc(2 ** 20 + 1, 0x20));
  await closed;
  t.like(raw.lines.at(-1), { error: { code: 'LINE_TOO_LONG' } });
});

test('at most 32 requests of a connection run at once; the rest wait their turn', async (t) => {
  let running = 0;
  let most = 0;
  const release = Promise.withResolvers<void>();
  const { server } = await fakeDaemon(t, {
    status: async () => {
      running += 1;
      most = Math.max(most, running);
      await release.promise;
      running -= 1;
      return null;
    },
  });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  const calls = Array.from({ length: 200 }, () => client.call('status'));
  await until(() => running === 32);
  await sleep(50);
  t.is(most, 32);
  release.resolve();
  await Promise.all(calls);
  t.is(most, 32);
});

test('a handler that waits for each row stops while its client does not read', async (t) => {
  let sent = 0;
  const finished = Promise.withResolvers<void>();
  const { server } = await fakeDaemon(t, {
    queue: async (_, call) => {
      const row = { text: 'x'.repeat(10_000) };
      for (; sent < 5000 && !call.gone.aborted; sent += 1) await call.row(row);
      finished.resolve();
      return null;
    },
  });
  const raw = new Raw(server.path);
  t.teardown(() => raw.socket.destroy());
  await until(() => raw.lines.length === 1);
  raw.socket.pause();
  raw.socket.write('{"id":1,"method":"queue"}\n');
  await until(() => sent > 0);
  await sleep(200);
  const stuck = sent;
  t.true(stuck < 1000, `${stuck} rows of 10 kB were taken for a client that reads none`);
  raw.socket.resume();
  await finished.promise;
  t.is(sent, 5000);
});

test('a client that lets rows pile up is disconnected, and the handler learns it', async (t) => {
  const gone = Promise.withResolvers<number>();
  const { server } = await fakeDaemon(t, {
    archive: async (_, call) => {
      let sent = 0;
      const row = { text: 'x'.repeat(10_000) };
      call.gone.addEventListener('abort', () => gone.resolve(sent));
      for (; sent < 100_000 && !call.gone.aborted; sent += 1) {
        void call.row(row);
        if (sent % 50 === 0) await sleep(1);
      }
      return null;
    },
    status: async () => 'alive',
  });
  const raw = new Raw(server.path);
  await until(() => raw.lines.length === 1);
  raw.socket.pause();
  raw.socket.write('{"id":1,"method":"archive"}\n');
  const sent = await gone.promise;
  t.true(sent < 2000, `${sent} rows of 10 kB`);
  const client = await connect(server.path);
  t.is(await client.call('status'), 'alive');
  client.close();
});

test('a client asks to stop one of its requests and gets what was done', async (t) => {
  const { server } = await fakeDaemon(t, {
    archive: (_, call) =>
      new Promise((resolve) => {
        call.cancelled.addEventListener('abort', () => resolve({ archived: 3 }));
        call.job('j9');
      }),
    cancel: async () => 'a request or job by its id',
  });
  const client = await connect(server.path);
  t.teardown(() => client.close());
  const job = Promise.withResolvers<string>();
  const started = client.start('archive', {}, { job: (id) => job.resolve(id) });
  t.is(await job.promise, 'j9');
  await started.cancel();
  t.deepEqual(await started.result, { archived: 3 });
  t.is(await client.call('cancel', { id: 'r1' }), 'a request or job by its id');
  t.deepEqual(await client.call('cancel', { request: 99 }), { cancelled: 0 });
});

test('a handler learns that its client is gone', async (t) => {
  const gone = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  const { server } = await fakeDaemon(t, {
    archive: async (_, call) => {
      call.gone.addEventListener('abort', () => gone.resolve());
      began.resolve();
      await gone.promise;
      t.false(call.cancelled.aborted);
      await call.row({ nobody: 'reads this' });
      return null;
    },
  });
  const client = await connect(server.path);
  const call = client.call('archive');
  await began.promise;
  client.close();
  await t.throwsAsync(call, { code: 'CLOSED' });
  await gone.promise;
});

test('a socket file that nobody answers on is replaced', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'hsm.sock');
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(join(folder, 'other'), resolve));
  linkSync(join(folder, 'other'), path);
  await new Promise((resolve) => dead.close(resolve));
  t.true(existsSync(path));
  const server = await startControlServer({ path, handlers: { status: async () => 'new' } });
  t.teardown(() => server.close());
  const client = await connect(path);
  t.is(await client.call('status'), 'new');
  client.close();
});

test('a second daemon is refused with exit 5 and names the pid of the first', async (t) => {
  const { server } = await fakeDaemon(t, { status: async () => 'first' });
  const error = await t.throwsAsync(startControlServer({ path: server.path, handlers: {} }), { code: 'REFUSED' });
  t.is((error as HsmError).exit, 5);
  t.regex(error.message, new RegExp(`pid ${process.pid}`));
  const client = await connect(server.path);
  t.is(await client.call('status'), 'first');
  client.close();
});

test('a file that is no socket is never replaced', async (t) => {
  const path = join(temporaryFolder(t), 'hsm.sock');
  writeFileSync(path, 'precious');
  await t.throwsAsync(startControlServer({ path, handlers: {} }), { code: 'REFUSED' });
  t.is(statSync(path).size, 8);
});

test('a socket path that Linux would cut is a config error', async (t) => {
  await t.throwsAsync(startControlServer({ path: `/tmp/${'x'.repeat(120)}/hsm.sock`, handlers: {} }), { code: 'CONFIG' });
});

test('of several daemons that start at once over a dead socket exactly one stays', async (t) => {
  for (let round = 0; round < 3; round += 1) {
    const folder = mkdtempSync(join(temporaryFolder(t), 'x'));
    const path = join(folder, 'hsm.sock');
    const script = `
      try {
        const server = await startControlServer({ path: ${JSON.stringify(path)}, handlers: {} });
        console.log('won');
        setTimeout(() => void server.close(), 2000);
      } catch (error) {
        console.log(error.code);
      }`;
    const outputs = await Promise.all([inChild(script), inChild(script), inChild(script)]);
    t.deepEqual(outputs.sort(), ['REFUSED', 'REFUSED', 'won']);
    t.false(existsSync(path));
  }
});

test('closing disconnects clients, aborts what runs and removes the socket, but not that of a successor', async (t) => {
  const began = Promise.withResolvers<Call>();
  const { server } = await fakeDaemon(t, {
    archive: async (_, call) => {
      began.resolve(call);
      return new Promise(() => undefined);
    },
  });
  const client = await connect(server.path);
  const call = client.call('archive');
  const running = await began.promise;
  await server.close();
  await t.throwsAsync(call, { code: 'NO_DAEMON' });
  t.true(running.gone.aborted);
  t.false(existsSync(server.path));
  const successor = await startControlServer({ path: server.path, handlers: {} });
  await server.close();
  t.true(existsSync(server.path));
  await successor.close();
});
