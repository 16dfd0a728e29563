import { closeSync, openSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../src/native/index.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

test('a lease is taken, seen and dropped', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  writeFileSync(path, 'x');
  const fd = openSync(path, 'r+');
  t.teardown(() => closeSync(fd));
  t.is(native.getLease(fd), 'none');
  await leaseWhenClosed(fd);
  t.is(native.getLease(fd), 'write');
  native.setLease(fd, 'none');
  t.is(native.getLease(fd), 'none');
});

test('a write lease is refused while somebody else has the file open', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  writeFileSync(path, 'x');
  const fd = openSync(path, 'r+');
  const other = openSync(path, 'r');
  t.throws(() => native.setLease(fd, 'write'), { code: 'EAGAIN', message: /fcntl/ });
  closeSync(other);
  await leaseWhenClosed(fd);
  t.is(native.getLease(fd), 'write');
  closeSync(fd);
});

test('an opener breaks the lease, which does not kill the holder', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  writeFileSync(path, 'x');
  const fd = openSync(path, 'r+');
  await leaseWhenClosed(fd);
  const reader = spawn('cat', [path], { timeout: 20_000, stdio: 'ignore' });
  while (native.getLease(fd) === 'write') await new Promise((resolve) => setTimeout(resolve, 5));
  t.is(native.getLease(fd), 'read');
  native.setLease(fd, 'none');
  const [code] = (await once(reader, 'exit')) as [number];
  t.is(code, 0);
  closeSync(fd);
});

test('an unknown type is a TypeError', (t) => {
  t.throws(() => native.setLease(0, 'all' as 'none'), { instanceOf: TypeError });
});

/** A program that another test starts holds all of this process's descriptors from its fork to its exec. */
async function leaseWhenClosed(fd: number): Promise<void> {
  for (;;) {
    try {
      native.setLease(fd, 'write');
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
