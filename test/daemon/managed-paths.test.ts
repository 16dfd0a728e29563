import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { managedPath, shownPath } from '../../src/daemon/managed-paths.ts';

function folder(): string {
  return realpathSync(mkdtempSync(join(tmpdir(), 'hsm-paths-')));
}

test('a path is found on the deepest filesystem above it, links on the way resolved', (t) => {
  const top = folder();
  t.teardown(() => rmSync(top, { recursive: true }));
  mkdirSync(join(top, 'data/inner/deep'), { recursive: true });
  mkdirSync(join(top, 'database'));
  writeFileSync(join(top, 'data/inner/deep/file'), '');
  symlinkSync(join(top, 'data/inner'), join(top, 'link'));
  const roots = [join(top, 'data'), join(top, 'data/inner')];
  t.like(managedPath(join(top, 'link/deep/file'), roots), { filesystem: 1, rel: Buffer.from('deep/file') });
  t.like(managedPath(join(top, 'data'), roots), { filesystem: 0, rel: Buffer.alloc(0) });
  t.throws(() => managedPath(join(top, 'database'), roots), { code: 'NOT_MANAGED', message: /is on no managed filesystem: hsm manages/ });
  t.throws(() => managedPath(join(top, 'missing'), roots), { code: 'ENOENT', message: /missing: no such file or directory/ });
});

test('a name that is not UTF-8 reaches the filesystem byte for byte', (t) => {
  const top = folder();
  t.teardown(() => rmSync(top, { recursive: true }));
  const name = Buffer.concat([Buffer.from(`${top}/`), Buffer.from([0x66, 0xff, 0xfe])]);
  writeFileSync(name, '');
  t.deepEqual(managedPath({ base64: name.toString('base64') }, [top]).rel, Buffer.from([0x66, 0xff, 0xfe]));
});

test('the root of a filesystem is shown without a trailing slash', (t) => {
  t.is(shownPath('/data', Buffer.alloc(0)), '/data');
  t.is(shownPath('/data', Buffer.from('a/b')), '/data/a/b');
});
