import { closeSync, openSync } from 'node:fs';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { openStDevice } from '../../src/media/st/st-device.ts';
import { native } from '../../src/native/index.ts';

// What a tape drive answers is tried on the real driver, in test/vm.

function devNull(t: ExecutionContext): number {
  const fd = openSync('/dev/null', 'r+');
  t.teardown(() => closeSync(fd));
  return fd;
}

test('what is no tape drive says ENOTTY, as Node would', async (t) => {
  const fd = devNull(t);
  for (const call of [native.tapeOperation(fd, native.tape.MTREW, 1), native.tapeStatus(fd), native.tapePosition(fd), native.scsiCommand(fd, Buffer.alloc(6), 96, 1000)]) {
    await t.throwsAsync(call, { code: 'ENOTTY' });
  }
});

test('blocks go through read and write as they are, and the descriptor may be closed meanwhile', async (t) => {
  const fd = openSync('/dev/zero', 'r+');
  const into = Buffer.alloc(1000, 1);
  const read = native.tapeRead(fd, into);
  const written = native.tapeWrite(fd, Buffer.alloc(77));
  closeSync(fd);
  t.is(await read, 1000);
  t.true(into.every((byte) => byte === 0));
  t.is(await written, 77);
});

test('a bad descriptor, operation, buffer or command is refused', (t) => {
  const fd = devNull(t);
  t.throws(() => native.tapeOperation(-1, native.tape.MTREW, 1), { code: 'EBADF' });
  t.throws(() => native.tapeOperation(fd, 70_000, 1), { instanceOf: TypeError });
  t.throws(() => native.tapeOperation(fd, native.tape.MTFSF, 2 ** 31), { instanceOf: TypeError });
  t.throws(() => native.tapeRead(fd, 'x' as unknown as Buffer), { instanceOf: TypeError });
  t.throws(() => native.scsiCommand(fd, Buffer.alloc(5), 0, 1000), { instanceOf: TypeError });
  t.throws(() => native.scsiCommand(fd, Buffer.alloc(6), 65_537, 1000), { instanceOf: TypeError });
});

test('a device that is not there, or no drive, is one clear error', async (t) => {
  await t.throwsAsync(openStDevice('/dev/no-such-tape'), { code: 'DRIVE_DOWN', message: /cannot open the tape drive \/dev\/no-such-tape: ENOENT/ });
  await t.throwsAsync(openStDevice('/dev/null'), { code: 'EIO', message: /\/dev\/null refused its settings/ });
});
