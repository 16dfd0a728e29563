/** A volume as a person finds it who has LTFS and a shell, and no hsm: the commands are those of its README.txt. */
import { appendFileSync, linkSync, lstatSync, mkdirSync, readFileSync, readdirSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { mountLtfs } from '../../src/library/ltfs-mount.ts';
import { Faults, type FaultyOperation } from '../../src/media/decorators/with-faults.ts';
import { native } from '../../src/native/index.ts';
import { archiving } from '../fixtures/archiving.ts';
import { sha256 } from '../fixtures/archive-invariants.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { fakeLtfs } from '../fixtures/ltfs/index.ts';
import { seededBytes } from '../fixtures/random.ts';

const root = kernelTest(test.serial as typeof test);
const mib = 2 ** 20;
const then = 1_400_000_000;

/** Changes a file that is the most of a container once the packer is in its middle: what was packed of it is void. */
class Meddler extends Faults {
  meddle: () => void = () => undefined;
  #writes = 0;

  override async around<T>(operation: FaultyOperation, action: () => Promise<T>): Promise<T> {
    const result = await action();
    if (operation === 'write' && (this.#writes += 1) === 12) this.meddle();
    return result;
  }
}

interface Line {
  readonly name: string;
  readonly file?: string;
  readonly link?: string;
  readonly void?: string;
  readonly offset: number;
  readonly sha256?: string;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly acl?: { readonly access: string };
  readonly xattrs?: Readonly<Record<string, string>>;
}

root('everything is found and copied back by name; owners, modes, links and the rest are in the manifest', async (t) => {
  const faults = new Meddler();
  const site = await archiving(t, 'ext4', { ltfs: true, containerSize: 64 * mib, capacity: 256 * mib, sizeMiB: 256, faults });
  const { mount } = site;
  mkdirSync(join(mount, 'home/ann'), { recursive: true });
  const put = (name: Buffer | string, content: Buffer): void => {
    const path = Buffer.concat([Buffer.from(`${mount}/`), Buffer.from(name)]);
    writeFileSync(path, content);
    utimesSync(path, then, then);
  };
  put('home/ann/letter.txt', seededBytes(1, 3000));
  put('home/ann/film.bin', seededBytes(2, 3 * mib));
  put(Buffer.from('home/ann/caf\xe9', 'latin1'), seededBytes(3, 200));
  put('sparse.img', seededBytes(4, 8192));
  truncateSync(join(mount, 'sparse.img'), 6 * mib);
  appendFileSync(join(mount, 'sparse.img'), seededBytes(5, 5000));
  utimesSync(join(mount, 'sparse.img'), then, then);
  linkSync(join(mount, 'home/ann/letter.txt'), join(mount, 'home/ann/zweitname'));
  put('zz-changing.bin', seededBytes(6, 60 * mib));
  await execa('setfacl', ['-m', 'u:1234:r', 'letter.txt'], { cwd: join(mount, 'home/ann'), timeout: 10_000 });
  await execa('setfattr', ['-n', 'user.note', '-v', 'kept', 'letter.txt'], { cwd: join(mount, 'home/ann'), timeout: 10_000 });
  await execa('chown', ['12:34', 'letter.txt'], { cwd: join(mount, 'home/ann'), timeout: 10_000 });
  faults.meddle = () => appendFileSync(join(mount, 'zz-changing.bin'), 'x');
  t.like(await site.archive({ keepData: true }), { archived: 4, skipped: { changed: 1 } });
  await site.drives.close();
  await site.library.close();

  const volume = await mountLtfs({
    barcode: 'V00001L9',
    device: { name: join(site.libraryDir, 'cartridges/V00001L9'), backend: 'file' },
    mountPoint: join(site.libraryDir, 'by-hand'),
    programs: fakeLtfs,
    mountTimeoutMs: 20_000,
  });
  t.teardown(() => volume.unmount());
  const readme = readFileSync(join(volume.root, 'README.txt'), 'latin1');
  t.regex(readme, /volume V00001L9 of hsm/);

  const restored = join(site.libraryDir, 'restored');
  mkdirSync(restored);
  const command = / {2}(cp .*)\n/.exec(readme)?.[1]?.replaceAll('/mnt/', `${volume.root}/`) ?? '';
  await execa('sh', ['-c', command], { cwd: restored, timeout: 60_000 });
  const [first = '', second = ''] = readdirSync(join(restored, 'home/ann')).includes('letter.txt') ? ['home/ann/letter.txt', 'home/ann/zweitname'] : ['home/ann/zweitname', 'home/ann/letter.txt'];
  for (const name of [first, 'home/ann/film.bin', 'sparse.img']) {
    t.is(sha256(join(restored, name)), sha256(join(mount, name)), name);
    t.is(Math.round(statSync(join(restored, name)).mtimeMs / 1000), then, name);
  }
  t.is(sha256(join(restored, 'home/ann/caf%E9')), sha256(Buffer.from(`${mount}/home/ann/caf\xe9`, 'latin1')));
  t.true(lstatSync(join(restored, 'sparse.img')).blocks < 100, 'holes are holes');
  t.false(readdirSync(restored).includes('zz-changing.bin'), 'a file that changed while it was copied is not there at all');

  const search = / {2}(grep .*)\n/.exec(readme)?.[1]?.replaceAll('/mnt/', `${volume.root}/`) ?? '';
  const { stdout: manifest } = await execa('sh', ['-c', search], { timeout: 60_000 });
  t.is(manifest, join(volume.root, 'containers/000001/manifest.jsonl'));
  const lines = readFileSync(manifest, 'utf8').trimEnd().split('\n').slice(1).map((line) => JSON.parse(line) as Line);
  const letter = lines.find(({ name }) => name === first)!;
  t.like(letter, { file: `files/${first}`, mode: '0644', uid: 12, gid: 34, sha256: sha256(join(mount, first)), xattrs: { 'user.note': Buffer.from('kept').toString('base64') } });
  t.regex(letter.acl?.access ?? '', /user:(1234)?:r--(:1234)?/);
  t.like(lines.find(({ link }) => link !== undefined), { name: second, link: first });
  t.is(lines.find(({ name }) => name === 'zz-changing.bin')?.void, 'changed');
  t.is(lines.find(({ name }) => name === 'home/ann/film.bin')?.sha256, sha256(join(mount, 'home/ann/film.bin')), 'large files have theirs from the index');

  const own = native.getxattr(join(volume.root, 'containers/000001', letter.file ?? ''), 'user.hsm.member');
  t.like(JSON.parse(own?.toString('utf8') ?? '{}'), { name: letter.name, mode: '0644', uid: 12 });

  const placed = lines.filter(({ file }) => file !== undefined);
  const blocks = placed.map(({ file = '' }) => Number(native.getxattr(join(volume.root, 'containers/000001', file), 'user.ltfs.startblock')?.toString('latin1')));
  t.deepEqual(blocks, blocks.toSorted((a, b) => a - b), 'in the order of their offsets they lie on tape');
  t.deepEqual(placed.map(({ offset }) => offset), placed.map(({ offset }) => offset).toSorted((a, b) => a - b));
});
