import { chmodSync, chownSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { native } from '../../../src/native/index.ts';
import { stubXattr } from '../../../src/stub.ts';
import { filesystemTypes, kernelTest } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';
import { isStub, makeStubs, read, shellAs } from '../../fixtures/stubs.ts';

const realTest = kernelTest(test);
const original = 'the original. '.repeat(1000);
const garbage = [0, 1, 63, 64, 65, 200].map((length) => Buffer.alloc(length, 0xa5));

for (const type of filesystemTypes) {
  realTest(`on ${type} root's copies of a record do not change what other files hold`, async (t) => {
    const hsm = await managed(t, type);
    const [stub = ''] = await makeStubs(hsm, { stub: original });
    const record = native.getxattr(stub, stubXattr)!;
    const others: Readonly<Record<string, string>> = {
      'same size': 'something else'.repeat(1000),
      bigger: 'more '.repeat(9000),
      smaller: 'less',
      empty: '',
    };
    for (const [name, content] of Object.entries(others)) {
      const path = join(hsm.mount, name);
      writeFileSync(path, content);
      native.setxattr(path, stubXattr, record);
    }
    for (const [name, content] of Object.entries(others)) {
      t.deepEqual(await read(join(hsm.mount, name)), { exitCode: 0, stdout: content, stderr: '' }, name);
    }
    const hollow = join(hsm.mount, 'hollow');
    writeFileSync(hollow, '');
    truncateSync(hollow, 20_000);
    native.setxattr(hollow, stubXattr, record);
    t.like(await read(hollow), { exitCode: 1, stdout: '' });
    t.is((await read(stub)).stdout, original);
  });

  realTest(`on ${type} a stub with attributes as large as a user likes is a stub whatever becomes of its record`, async (t) => {
    const hsm = await managed(t, type);
    const stubs = await makeStubs(hsm, { damaged: original, moved: original, good: original });
    for (const path of stubs) native.setxattr(path, 'user.large', Buffer.alloc(3000, 'x'));
    const [damaged = '', moved = '', good = ''] = stubs;
    native.setxattr(damaged, stubXattr, Buffer.alloc(64, 0xa5));
    t.like(await read(damaged), { exitCode: 1, stdout: '' });
    // As a backup puts it back: another inode, hollow, with the record and the attributes.
    const record = native.getxattr(moved, stubXattr)!;
    rmSync(moved);
    writeFileSync(moved, '');
    truncateSync(moved, original.length);
    native.setxattr(moved, 'user.large', Buffer.alloc(3000, 'x'));
    native.setxattr(moved, stubXattr, record);
    t.deepEqual(await read(moved), { exitCode: 0, stdout: original, stderr: '' });
    t.is((await read(good)).stdout, original);
  });

  realTest(`on ${type} garbage in place of a record is an error on a stub and nothing on data`, async (t) => {
    const hsm = await managed(t, type);
    const stubs = await makeStubs(hsm, Object.fromEntries(garbage.map(({ length }) => [`stub-${length}`, original])));
    for (const [index, bytes] of garbage.entries()) {
      const stub = stubs[index]!;
      const record = native.getxattr(stub, stubXattr)!;
      native.setxattr(stub, stubXattr, bytes);
      t.like(await read(stub), { exitCode: 1, stdout: '' }, `stub with ${bytes.length} bytes`);
      const resident = join(hsm.mount, `resident-${bytes.length}`);
      writeFileSync(resident, 'here');
      native.setxattr(resident, stubXattr, bytes);
      t.is((await read(resident)).stdout, 'here', `data with ${bytes.length} bytes`);
      native.setxattr(stub, stubXattr, record);
      t.is((await read(stub)).stdout, original);
    }
  });
}

realTest('a stub that root took the record from is a stub all the same, and a sparse file is not', async (t) => {
  const hsm = await managed(t, 'ext4');
  const [stub = ''] = await makeStubs(hsm, { stub: original });
  const sparse = join(hsm.mount, 'sparse');
  writeFileSync(sparse, '');
  truncateSync(sparse, 5000);
  native.removexattr(stub, stubXattr);
  t.deepEqual(await read(stub), { exitCode: 0, stdout: original, stderr: '' });
  t.deepEqual(await read(sparse), { exitCode: 0, stdout: '\0'.repeat(5000), stderr: '' });
  // Its owner's own hole in a file that came back is no stub either.
  truncateSync(stub, 0);
  truncateSync(stub, original.length);
  t.is((await read(stub)).stdout, '\0'.repeat(original.length));
});

realTest('an ordinary user can neither set nor remove a record, not even as root of a namespace', async (t) => {
  const hsm = await managed(t, 'ext4');
  const [stub = ''] = await makeStubs(hsm, { stub: original });
  chmodSync(dirname(hsm.mount), 0o755);
  const own = join(hsm.mount, 'own');
  writeFileSync(own, 'data');
  for (const path of [stub, own]) chownSync(path, 4711, 4711);
  const tries = {
    remove: `import os; os.removexattr("${stub}", "${stubXattr}")`,
    replace: `import os; os.setxattr("${stub}", "${stubXattr}", b"x" * 64)`,
    set: `import os; os.setxattr("${own}", "${stubXattr}", b"x" * 64)`,
  };
  for (const [name, script] of Object.entries(tries)) {
    for (const prefix of ['', 'unshare -Ur ']) {
      const tried = await shellAs(4711, `${prefix}/usr/bin/python3 -c "$1"`, script);
      t.is(tried.exitCode, 1, `${prefix}${name}`);
      t.regex(tried.stderr, /PermissionError|Operation not permitted|unshare/, `${prefix}${name}`);
    }
  }
  t.true(isStub(stub));
  t.is((await shellAs(4711, 'cat "$1"', stub)).stdout, original);
  t.is(readFileSync(own, 'utf8'), 'data');
});
