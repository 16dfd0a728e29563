import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { openCatalog } from '../../src/catalog/index.ts';
import { fileState } from '../../src/cli/ls/state.ts';
import type { Entry } from '../../src/cli/ls/scan.ts';
import { cataloguePath } from '../../src/config.ts';
import type { FileInfo } from '../../src/daemon/protocol.ts';
import type { Handler } from '../../src/daemon/server.ts';
import { native } from '../../src/native/index.ts';
import { encodeStubRecord, stubXattr } from '../../src/stub.ts';
import { fakeDaemon, temporaryFolder, writeConfig } from '../fixtures/fake-daemon.ts';
import { hsm, jsonLines } from '../fixtures/hsm.ts';
import { kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';

const kernel = kernelTest(test);
const copy = { volume: '948324L8', container: 3342, offset: 4096, pool: 'default' };
const object = '00112233445566778899aabbccddeeff';

/** A folder with files, one below another, and names that are no fun. */
function makeFiles(t: ExecutionContext): { folder: string; config: string } {
  const folder = temporaryFolder(t);
  const data = join(folder, 'data');
  mkdirSync(join(data, 'a'), { recursive: true });
  for (const name of ['z', 'a/inner', 'a.txt', 'new\nline', '\u001b[31mred']) writeFileSync(join(data, name), name);
  writeFileSync(Buffer.concat([Buffer.from(`${data}/`), Buffer.from('caf\xe9', 'latin1')]), 'x');
  symlinkSync('z', join(data, 'link'));
  return { folder: data, config: writeConfig(folder) };
}

test('files are listed sorted by path, links and folders left out', async (t) => {
  const { folder, config } = makeFiles(t);
  const flat = jsonLines((await hsm(['ls', '--json', folder, '--config', config])).stdout);
  t.deepEqual(flat.map(({ path }) => path), ['\u001b[31mred', 'a.txt', 'caf\ufffd', 'new\nline', 'z'].map((name) => join(folder, name)));
  const deep = jsonLines((await hsm(['ls', '-R', '--json', folder, '--config', config])).stdout);
  t.deepEqual(deep.map(({ path }) => path), ['\u001b[31mred', 'a.txt', 'a/inner', 'caf\ufffd', 'new\nline', 'z'].map((name) => join(folder, name)));
  t.deepEqual(Buffer.from(String(deep[3]?.['pathBase64']), 'base64'), Buffer.concat([Buffer.from(`${folder}/`), Buffer.from('caf\xe9', 'latin1')]));
  t.false('pathBase64' in (deep[0] ?? {}));
});

test('a row has exactly the documented keys', async (t) => {
  const { folder, config } = makeFiles(t);
  utimesSync(join(folder, 'z'), 0, 1_500_000_000.25);
  const [row] = jsonLines((await hsm(['ls', '--json', join(folder, 'z'), '--config', config])).stdout);
  t.deepEqual(row, { path: join(folder, 'z'), state: 'resident', size: 1, mtime: '2017-07-14T02:40:00.250000000Z', volume: null, container: null, object: null, copies: [] });
});

test('without -l there are only names, as the user wrote their folder, byte for byte in a pipe', async (t) => {
  const { folder, config } = makeFiles(t);
  const { stdout } = await execa(process.execPath, ['--disable-warning=ExperimentalWarning', new URL('../../src/main.ts', import.meta.url).pathname, 'ls', './a', '.', '--config', config], { cwd: folder, encoding: 'buffer', timeout: 60_000 });
  t.deepEqual(Buffer.from(stdout).toString('latin1').split('\n').sort(), ['./\u001b[31mred', './a.txt', './a/inner', './caf\xe9', './new', './z', 'line'].sort());
});

test('on a terminal names cannot command it', async (t) => {
  const { folder, config } = makeFiles(t);
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', new URL('../../src/main.ts', import.meta.url).pathname, 'ls', '-lR', folder, '--config', config].join(' ');
  const { stdout } = await execa('script', ['-qec', command, '/dev/null'], { timeout: 60_000, stdin: 'ignore' });
  t.notRegex(stdout, /\u001b\[31m/);
  t.true(stdout.includes(`$'${folder}/\\e[31mred'`), stdout);
  t.true(stdout.includes(`$'${folder}/new\\nline'`));
  t.true(stdout.includes(`$'${folder}/caf\\xe9'`));
});

test('paths that are not there are errors, the others are listed', async (t) => {
  const { folder, config } = makeFiles(t);
  const none = await hsm(['ls', join(folder, 'nope'), '--config', config]);
  t.deepEqual([none.exitCode, none.stdout, none.stderr], [1, '', `hsm: ${join(folder, 'nope')} does not exist`]);
  const some = await hsm(['ls', join(folder, 'nope'), join(folder, 'z'), '--config', config]);
  t.deepEqual([some.exitCode, some.stdout], [3, join(folder, 'z')]);
  const json = await hsm(['ls', join(folder, 'nope'), '--json', '--config', config]);
  t.like(jsonLines(json.stderr)[0], { error: { code: 'ENOENT', path: join(folder, 'nope') } });
});

test('a folder that may not be read is an error, the rest is listed', async (t) => {
  const { folder, config } = makeFiles(t);
  chmodSync(join(folder, '..'), 0o755);
  chmodSync(join(folder, 'a'), 0o700);
  const { exitCode, stdout, stderr } = await hsm(['ls', '-R', folder, '--config', config], { uid: 65534, gid: 65534, cwd: '/' });
  t.is(exitCode, 3);
  t.true(stdout.includes(join(folder, 'z')));
  t.is(stderr, `hsm: ${join(folder, 'a')} cannot be read: EACCES`);
});

test('a file named twice is listed once', async (t) => {
  const { folder, config } = makeFiles(t);
  const { stdout } = await hsm(['ls', join(folder, 'z'), folder, join(folder, '../data/z'), '--json', '--config', config]);
  t.is(jsonLines(stdout).filter(({ path }) => path === join(folder, 'z')).length, 1);
});

test('a reader that has seen enough is no error', async (t) => {
  const { folder, config } = makeFiles(t);
  for (let i = 0; i < 3000; i += 1) writeFileSync(join(folder, `file-${'x'.repeat(100)}-${i}`), '');
  const main = new URL('../../src/main.ts', import.meta.url).pathname;
  const script = `set -o pipefail; "$0" --disable-warning=ExperimentalWarning "$1" ls --json "$2" --config "$3" | head -1`;
  const result = await execa('bash', ['-c', script, process.execPath, main, folder, config], { reject: false, timeout: 60_000 });
  t.deepEqual([result.exitCode, result.stderr], [0, '']);
});

kernel('states come from the daemon, asked by inode in batches', async (t) => {
  const mount = await loopFilesystem(t, 'ext4');
  const asked: number[][] = [];
  const files: Handler = async ({ filesystemPath, inos }) => {
    t.is(filesystemPath, mount);
    asked.push(inos as number[]);
    return (inos as number[]).map((ino) => infoOf.get(ino) ?? null);
  };
  const infoOf = new Map<number, FileInfo>();
  const { config } = await fakeDaemon(t, { files }, { filesystems: [mount] });
  for (let i = 0; i < 5000; i += 1) writeFileSync(join(mount, `f${i}`), '');
  const states = ['archiving', 'archived', 'stub', 'recalling'] as const;
  for (const state of states) {
    writeFileSync(join(mount, state), state);
    const { ino, size, mtimeNs } = native.statx(-100, join(mount, state));
    infoOf.set(ino, { state, size, mtimeNs: String(mtimeNs), object, copies: [copy, { ...copy, volume: 'SECOND01', pool: 'two' }] });
  }
  const rows = jsonLines((await hsm(['ls', '--json', mount, '--config', config])).stdout);
  t.is(rows.length, 5004);
  t.deepEqual(asked.map((inos) => inos.length), [4096, 908]);
  for (const state of states) {
    t.like(rows.find(({ path }) => path === join(mount, state)), { state, volume: '948324L8', container: 3342, object });
  }
  t.is(rows.filter(({ state }) => state === 'resident').length, 5000);
  const { stdout } = await hsm(['ls', '-l', join(mount, 'stub'), join(mount, 'archived'), '--config', config]);
  t.regex(stdout, /^archived .* on disk and tape 948324L8, container 3342 \(\+1\) {2}.*\/archived\nstub .* on tape 948324L8, container 3342 \(\+1\) +\S*\/stub$/);
});

kernel('without daemon and catalogue the record on a stub says where its data is', async (t) => {
  const mount = await loopFilesystem(t, 'ext4');
  const config = writeConfig(temporaryFolder(t), [mount]);
  const path = join(mount, 'stub');
  await execa('truncate', ['-s', '1M', path]);
  const record = encodeStubRecord({ flags: 0, volume: '948324L8', container: 3342, offset: 4096, object: Buffer.from(object, 'hex'), size: 2 ** 20, mtimeNs: 0n, handleHash: native.handleHash(native.fileHandle(-100, path)) });
  native.setxattr(path, stubXattr, record);
  // A copy with real data that took the record along, and a stub that its user emptied.
  writeFileSync(join(mount, 'foreign'), Buffer.alloc(2 ** 20, 1));
  native.setxattr(join(mount, 'foreign'), stubXattr, record);
  writeFileSync(join(mount, 'emptied'), '');
  native.setxattr(join(mount, 'emptied'), stubXattr, record);
  for (const folder of [join(mount, '..'), join(config, '..')]) chmodSync(folder, 0o755);
  const { stdout } = await hsm(['ls', '--json', mount, '--config', config], { uid: 65534, gid: 65534, cwd: '/' });
  const rows = jsonLines(stdout);
  t.deepEqual(rows.map(({ state }) => state), ['resident', 'resident', 'stub']);
  t.like(rows[2], { volume: '948324L8', container: 3342, object, copies: [{ ...copy, pool: null }] });
  const text = await hsm(['ls', '-l', path, '--config', config]);
  t.regex(text.stdout, /^stub +1\.0 MiB .* on tape 948324L8, container 3342 /);
  t.regex(text.stderr, /no daemon answers/);
});

kernel('without a daemon the catalogue is read, and not written', async (t) => {
  const mount = await loopFilesystem(t, 'ext4');
  const folder = temporaryFolder(t);
  const config = writeConfig(folder, [mount]);
  writeFileSync(join(mount, 'kept'), 'data on disk and tape');
  const { ino, size, mtimeNs, ctimeNs } = native.statx(-100, join(mount, 'kept'));
  const catalog = openCatalog(cataloguePath(folder));
  const filesystem = await catalog.addFilesystem({ path: mount, type: 'ext4', uuid: 'x' });
  await catalog.addVolume({ barcode: 'V00001L8', pool: 'default', capacity: 1e9 });
  const container = await catalog.beginContainer('V00001L8', 3);
  await catalog.closeContainer(container.id, { state: 'closed', bytes: 1000, endBlock: 10, used: 2000 });
  await catalog.addArchived([container.id], {
    filesystem: filesystem.id,
    count: 1,
    dirs: [Buffer.alloc(0)],
    dir: Uint32Array.of(0),
    names: Buffer.from('kept'),
    nameEnd: Uint32Array.of(4),
    ino: Float64Array.of(ino),
    size: Float64Array.of(size),
    mtimeNs: BigInt64Array.of(mtimeNs),
    ctimeNs: BigInt64Array.of(ctimeNs),
    handleHash: Uint32Array.of(1),
    objectIds: Buffer.from(object, 'hex'),
    sha256: Buffer.alloc(32),
    offset: Float64Array.of(512),
    length: Float64Array.of(1024),
  });
  await catalog.close();
  const { stdout, stderr } = await hsm(['ls', '--json', mount, '--config', config]);
  t.is(stderr, '');
  t.like(jsonLines(stdout)[0], { state: 'archived', volume: 'V00001L8', container: 1, object, copies: [{ volume: 'V00001L8', container: 1, offset: 512, pool: 'default' }] });
  const reader = openCatalog(cataloguePath(folder), { readonly: true });
  await t.throwsAsync(reader.addVolume({ barcode: 'V00002L8', pool: null, capacity: 1 }));
  await reader.close();
  writeFileSync(join(mount, 'kept'), 'changed by its user since');
  t.like(jsonLines((await hsm(['ls', '--json', mount, '--config', config])).stdout)[0], { state: 'resident', volume: null, object: null });
});

test('a file that is not as it was recorded is resident', (t) => {
  const entry: Entry = { path: '/x', shown: '/x', ino: 1, size: 5, blocks: 8, mtimeNs: 7n, record: null, filesystem: '/' };
  const info: FileInfo = { state: 'archived', size: 5, mtimeNs: '7', object, copies: [copy] };
  t.is(fileState(entry, info).state, 'archived');
  t.is(fileState({ ...entry, size: 6 }, info).state, 'resident');
  t.is(fileState({ ...entry, mtimeNs: 8n }, info).state, 'resident');
  t.is(fileState({ ...entry, size: 0 }, { ...info, state: 'stub' }).state, 'resident');
  t.is(fileState({ ...entry, mtimeNs: 8n }, { ...info, state: 'stub' }).state, 'stub');
  t.is(fileState(entry, null).state, 'resident');
});
