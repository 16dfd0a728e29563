import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { aclXattr } from '../../src/media/acl-text.ts';
import { native } from '../../src/native/index.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

test('the bytes are those that setfacl makes the kernel keep', async (t) => {
  const folder = join(await temporaryFolder(t), 'd');
  mkdirSync(folder, { mode: 0o750 });
  execFileSync('setfacl', ['-m', 'u:4242:rwx,u:7:r,g:99:x,m::rx,d:u:5:w,d:o::-', folder], { timeout: 10_000 });
  for (const [name, options] of [['access', ['-a']], ['default', ['-d']]] as const) {
    const text = execFileSync('getfacl', ['-cEn', ...options, folder], { timeout: 10_000, encoding: 'utf8' });
    t.true(aclXattr(text).equals(native.getxattr(folder, `system.posix_acl_${name}`)!), text);
    t.true(aclXattr(text.trim().split('\n').toReversed().join(',')).equals(aclXattr(text)), 'the order of the text does not matter');
  }
});

test('star writes ids in a fourth field', (t) => {
  t.deepEqual(aclXattr('user::rw-,user:joe:r--:1000,group::r--,mask::r--,other::---'), aclXattr('user::rw-,user:1000:r--,group::r--,mask::r--,other::---'));
});

test('what is no ACL is refused', (t) => {
  for (const text of ['user::rwxx', 'user:joe:r--', 'mask:7:r--', 'owner::rw-', 'user:4294967295:r--', 'rw-']) {
    t.throws(() => aclXattr(text), { code: 'BAD_ACL' }, text);
  }
});
