import test from 'ava';
import { HsmError } from '../../../src/errors.ts';
import { fileName, folderName, folderNumber, volumeError } from '../../../src/media/ltfs/layout.ts';
import { manifestText, memberLine, parseManifest, type ManifestMember } from '../../../src/media/ltfs/manifest.ts';
import { SparseMapReader } from '../../../src/media/ltfs/sparse-map.ts';

const named = test.macro({
  title: (_, bytes: Buffer, expected: string | null) => `the name ${JSON.stringify(bytes.toString('latin1'))} is ${expected ?? 'none'} on LTFS`,
  exec: (t, bytes: Buffer, expected: string | null) => t.is(fileName(bytes), expected),
});

test(named, Buffer.from('home/ann/letter: "1".txt'), 'home/ann/letter: "1".txt');
test(named, Buffer.from('grün/☃'), 'grün/☃');
test(named, Buffer.from('caf\xe9', 'latin1'), 'caf%E9');
test(named, Buffer.from('../etc/passwd'), null);
test(named, Buffer.from('a//b'), null);
test(named, Buffer.from('/a'), null);
test(named, Buffer.from('a/./b'), null);
test(named, Buffer.alloc(0), null);

test('folders are numbered, and nothing else is a folder of a container', (t) => {
  t.is(folderName(7), '000007');
  t.is(folderNumber(folderName(1_234_567)), 1_234_567);
  for (const name of ['7', '000007.copy', 'files', '']) t.is(folderNumber(name), null);
});

test('a sparse map is read however it is cut, and no byte behind it', (t) => {
  const map = Buffer.alloc(1024);
  const segments = Array.from({ length: 60 }, (_, i) => ({ offset: i * 1_000_000, length: 512 + i }));
  map.write(`${segments.length}\n${segments.map(({ offset, length }) => `${offset}\n${length}\n`).join('')}`);
  const payload = Buffer.concat([map, Buffer.from('data')]);
  for (let cut = 1; cut < payload.length; cut += 7) {
    const reader = new SparseMapReader();
    let taken = 0;
    for (let at = 0; at < payload.length && !reader.done; at += cut) taken += reader.feed(payload.subarray(at, at + cut));
    t.is(taken, 1024);
    t.deepEqual(reader.segments, segments);
  }
});

test('a sparse map that is none is an error', (t) => {
  for (const text of ['x\n', '1\n-5\n3\n', `${'9'.repeat(30)}\n`]) {
    t.throws(() => new SparseMapReader().feed(Buffer.from(text.padEnd(512, '\0'))), { instanceOf: HsmError, code: 'EIO' });
  }
});

const member: ManifestMember = {
  name: Buffer.from('caf\xe9', 'latin1'),
  file: 'files/caf%E9',
  offset: 1024,
  headerLength: 1536,
  payload: 10,
  map: 0,
  size: 10,
  object: Buffer.alloc(16, 1),
  sha256: Buffer.alloc(32, 2),
  link: null,
  void: null,
  metadata: { mode: 0o640, uid: 1, gid: 2, atimeNs: -1n, mtimeNs: 1_500_000_000n, acls: { access: 'user::rw-' }, xattrs: [['user.note', Buffer.from('kept')], ['system.posix_acl_access', Buffer.alloc(4)]] },
};

test('a line of the manifest says everything, for people and for hsm', (t) => {
  t.deepEqual(JSON.parse(memberLine(member)), {
    name: 'caf\ufffd',
    nameBase64: 'Y2Fm6Q==',
    file: 'files/caf%E9',
    offset: 1024,
    header: 1536,
    payload: 10,
    size: 10,
    object: '01'.repeat(16),
    sha256: '02'.repeat(32),
    mode: '0640',
    uid: 1,
    gid: 2,
    mtime: '1.500000000',
    atime: '-0.000000001',
    acl: { access: 'user::rw-' },
    xattrs: { 'user.note': 'a2VwdA==' },
  });
  t.false('xattrs' in (JSON.parse(memberLine(member, { brief: true })) as object));
});

test('a manifest that lacks a line, or is none, is damaged', (t) => {
  const text = manifestText([[1024, 3]], true, [member, { ...member, file: null, offset: 4096, void: 'changed' }]);
  t.like(parseManifest(text, 'it'), { blocks: [[1024, 3]], ended: true, members: { 0: { file: 'files/caf%E9', offset: 1024, headerLength: 1536 }, 1: { file: null, offset: 4096 }, length: 2 } });
  const lines = text.split('\n');
  for (const damaged of [lines.slice(0, 2).join('\n'), lines.slice(1).join('\n'), '', text.replace('"offset":1024', '"offset":-1'), text.slice(0, -30)]) {
    t.throws(() => parseManifest(damaged, 'it'), { instanceOf: HsmError, code: 'EIO', message: /^it is damaged: / });
  }
});

test('errors of the mounted volume are those of the medium contract', (t) => {
  const codes = { ENOSPC: 'ENOSPC', EROFS: 'EROFS', EACCES: 'EROFS', EIO: 'EIO', ENOTCONN: 'EIO', ENOENT: 'EIO' };
  for (const [code, expected] of Object.entries(codes)) t.is(volumeError(Object.assign(new Error(code), { code }), 'it failed').code, expected);
});
