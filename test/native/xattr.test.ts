import { closeSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../src/native/index.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

test('an attribute is set, read, listed and removed by path, Buffer path and descriptor', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  writeFileSync(path, 'x');
  const fd = openSync(path, 'r+');
  t.teardown(() => closeSync(fd));
  for (const target of [path, Buffer.from(path), fd]) {
    t.is(native.getxattr(target, 'user.hsm-test'), null);
    native.setxattr(target, 'user.hsm-test', Buffer.from([1, 0, 255]));
    t.deepEqual(native.getxattr(target, 'user.hsm-test'), Buffer.from([1, 0, 255]));
    t.true(native.listxattr(target).includes('user.hsm-test'));
    t.true(native.removexattr(target, 'user.hsm-test'));
    t.false(native.removexattr(target, 'user.hsm-test'));
    t.false(native.listxattr(target).includes('user.hsm-test'));
  }
});

test('a value longer than the first guess is read whole', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  writeFileSync(path, 'x');
  const value = Buffer.alloc(1500, 7);
  native.setxattr(path, 'user.long', value);
  t.deepEqual(native.getxattr(path, 'user.long'), value);
});

test('an empty value is not the same as none', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  writeFileSync(path, 'x');
  native.setxattr(path, 'user.empty', Buffer.alloc(0));
  t.deepEqual(native.getxattr(path, 'user.empty'), Buffer.alloc(0));
});

test('symbolic links are not followed', async (t) => {
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, 'file'), 'x');
  native.setxattr(join(folder, 'file'), 'user.hsm-test', Buffer.from('v'));
  symlinkSync('file', join(folder, 'link'));
  t.is(native.getxattr(join(folder, 'link'), 'user.hsm-test'), null);
});

test('errors look like those of Node', async (t) => {
  const path = join(await temporaryFolder(t), 'missing');
  const error = t.throws(() => native.getxattr(path, 'user.x'));
  t.like(error, { code: 'ENOENT', errno: -2, syscall: 'getxattr', path });
  t.throws(() => native.getxattr(-1, 'user.x'), { code: 'EBADF' });
  t.throws(() => native.getxattr('', 'user.x'), { code: 'ENOENT' });
  t.throws(() => native.getxattr('a\0b', 'user.x'), { code: 'ERR_INVALID_ARG_VALUE' });
  t.throws(() => native.setxattr(path, 'user.x', 'text' as unknown as Buffer), { code: 'ERR_INVALID_ARG_TYPE' });
});
