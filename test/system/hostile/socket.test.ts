import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { kernelTest } from '../../fixtures/loopfs.ts';
import { managed, type Managed } from '../../fixtures/managed.ts';
import { holdRecalls, makeStubs, queued, read, shellAs } from '../../fixtures/stubs.ts';
import { until } from '../../fixtures/until.ts';

const realTest = kernelTest(test);
const socketOf = (hsm: Managed): string => join(hsm.folder, 'state', 'hsm.sock');
const memoryMiB = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** A client that may do anything; it is gone after the test. */
function client(t: ExecutionContext, hsm: Managed): Socket {
  const socket = connect(socketOf(hsm));
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
  return socket;
}

realTest('garbage, floods, silent and slow clients on the control socket keep no recall waiting and take little memory', async (t) => {
  const hsm = await managed(t, 'ext4');
  const [before = '', during = '', after = ''] = await makeStubs(hsm, { before: 'before', during: 'during', after: 'after' });
  t.is((await read(before)).stdout, 'before');
  const { daemon, keeper } = await hsm.status();
  const startMiB = memoryMiB(daemon.pid);
  // Silent ones, ones that send half a line, and ones that send anything.
  for (let index = 0; index < 500; index += 1) client(t, hsm);
  for (let index = 0; index < 50; index += 1) client(t, hsm).write('{"id":1,"method":"sta');
  const garbage = Array.from({ length: 50 }, () => client(t, hsm));
  for (const socket of garbage) socket.resume().write(randomBytes(200_000));
  // One that asks without end and reads nothing: it is disconnected.
  const flood = client(t, hsm).pause();
  let sent = 0;
  const pour = (): void => {
    for (let more = true; more && !flood.destroyed; ) more = flood.write(`${JSON.stringify({ id: (sent += 1), method: 'status' })}\n`);
  };
  flood.on('drain', pour);
  pour();
  t.is((await read(during)).stdout, 'during');
  await hsm.status();
  await until(() => garbage.every(({ closed }) => closed), 60_000, 'the end of those who send garbage');
  t.is((await read(after)).stdout, 'after');
  const end = await hsm.status();
  t.is(end.daemon.pid, daemon.pid);
  t.is(end.keeper.pid, keeper.pid);
  t.log(JSON.stringify({ startMiB, nowMiB: memoryMiB(daemon.pid), flooded: sent, fds: readdirSync(`/proc/${daemon.pid}/fd`).length }));
  t.true(memoryMiB(daemon.pid) < startMiB + 150);
});

realTest('an ordinary user sees and cancels what is his, and nothing else', async (t) => {
  const hsm = await managed(t, 'ext4');
  for (const folder of [dirname(hsm.mount), hsm.folder]) chmodSync(folder, 0o755);
  const [own = '', others = ''] = await makeStubs(hsm, { own: 'own', others: 'others' });
  const release = await holdRecalls(hsm);
  const mine = shellAs(4711, 'cat "$1"', own);
  const another = read(others);
  await queued(hsm, 2);
  const rows = await hsm.json('queue');
  const idOf = (path: string): string => String(rows.find((row) => row['path'] === path)?.['id']);
  /** Sends one request as that user; the lines of the answer. */
  const ask = async (method: string, params: object): Promise<string> => {
    const script = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile("rw")
f.readline(); f.write(sys.argv[2] + "\\n"); f.flush()
while True:
    line = f.readline(); print(line, end="")
    if not line or "result" in line or "error" in line: break
`;
    return (await shellAs(4711, '/usr/bin/python3 -c "$1" "$2" "$3"', script, socketOf(hsm), JSON.stringify({ id: 1, method, params }))).stdout;
  };
  for (const method of ['archive', 'release', 'recall', 'verify', 'setDrive', 'tapeAdd', 'tapes', 'jobs', 'events']) {
    t.regex(await ask(method, { paths: [hsm.mount] }), /"code":"EPERM"/, method);
  }
  const seen = await ask('queue', {});
  t.true(seen.includes(own) && !seen.includes(others), seen);
  t.regex(await ask('cancel', { id: idOf(others) }), /"error"/);
  t.regex(await ask('cancel', { id: idOf(own), errno: 'EIO' }), /"cancelled":1/);
  t.like(await mine, { exitCode: 1, stdout: '' });
  await release();
  t.is((await another).stdout, 'others');
});
