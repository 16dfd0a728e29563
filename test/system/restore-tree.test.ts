/** Catalogue and filesystem are lost: from the cartridges alone come a catalogue, a tree of stubs, and every byte. */
import { execFileSync } from 'node:child_process';
import { existsSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { openCatalog } from '../../src/catalog/index.ts';
import { native } from '../../src/native/index.ts';
import { stubXattr } from '../../src/stub.ts';
import { killAt } from '../fixtures/kill-at.ts';
import { kernelTest, type FilesystemType } from '../fixtures/loopfs.ts';
import { managed, processesOf, type Managed } from '../fixtures/managed.ts';
import { factsOf, fileFacts, makeTree } from '../fixtures/tree.ts';
import { until } from '../fixtures/until.ts';

const root = kernelTest(test);
const mib = 2 ** 20;
const old = new Date('2015-06-07T08:09:09.123Z');
const limits = { timeout: 60_000 } as const;

const format: Readonly<Record<FilesystemType, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F', '-I', '256'],
  xfs: ['mkfs.xfs', '-q', '-f'],
  btrfs: ['mkfs.btrfs', '-q', '-f'],
};

/** The daemon stops, its filesystem is gone with all that it held, and a new one is where it was. */
async function replaceFilesystem(site: Managed, type: FilesystemType): Promise<void> {
  await site.stopDaemon();
  execFileSync('umount', [site.mount], limits);
  // The denier lets go of its private mount when the last other one is gone.
  await until(async () => (await processesOf(site.folder)).length === 0);
  const image = join(dirname(site.mount), 'image');
  const { size } = statSync(image);
  truncateSync(image, 0);
  truncateSync(image, size);
  const [command = '', ...options] = format[type];
  execFileSync(command, [...options, image], limits);
  execFileSync('mount', ['-o', 'loop', image, site.mount], limits);
}

function loseCatalogue(site: Managed): void {
  for (const name of readdirSync(join(site.folder, 'state'))) if (name.startsWith('catalogue')) rmSync(join(site.folder, 'state', name));
}

const atimesOf = (mount: string, names: Iterable<string>): Map<string, bigint> =>
  new Map([...names].map((name) => [name, lstatSync(Buffer.concat([Buffer.from(`${mount}/`), Buffer.from(name, 'latin1')]), { bigint: true }).atimeNs]));

const sorted = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

for (const type of ['ext4', 'xfs', 'btrfs'] as const) {
  root(`with catalogue and filesystem lost, all that was archived on ${type} comes back byte by byte and attribute by attribute`, async (t) => {
    t.timeout(600_000);
    const site = await managed(t, type);
    makeTree(site.mount, { folders: 2, filesPerFolder: 45, biggest: 6 * mib });
    const first = await site.hsm('archive', '--older-than', '1y', site.mount);
    t.is(first.exitCode, 0, first.stderr);
    // A newer version, a file with the name of an old one, one that is gone.
    const changed = join(site.mount, 'd0', 'file-00020.dat');
    rmSync(changed);
    writeFileSync(changed, 'newer '.repeat(1000));
    const gone = 'd1/file-00021.dat';
    const goneFacts = fileFacts(Buffer.from(join(site.mount, gone)));
    const goneAtime = atimesOf(site.mount, [gone]);
    rmSync(join(site.mount, gone));
    mkdirSync(join(site.mount, 'of one', 'owner'), { recursive: true });
    writeFileSync(join(site.mount, 'of one', 'owner', 'file'), 'x'.repeat(5000));
    execFileSync('chown', ['-R', '1234:4321', join(site.mount, 'of one')], limits);
    for (const path of [changed, join(site.mount, 'of one', 'owner', 'file')]) utimesSync(path, old, old);
    const second = await site.hsm('archive', '--older-than', '1y', site.mount);
    t.is(second.exitCode, 0, second.stderr);
    const facts = new Map([...factsOf(site.mount)].filter(([, { size }]) => size > 0));
    await site.hsm('release', site.mount);
    const atimes = new Map([...atimesOf(site.mount, facts.keys()), ...goneAtime]);
    // Nobody told the catalogue that it was removed.
    facts.set(gone, goneFacts);

    await replaceFilesystem(site, type);
    loseCatalogue(site);
    const rebuilt = await site.hsm('rebuild', '--from-tapes');
    t.is(rebuilt.exitCode, 0, rebuilt.stdout + rebuilt.stderr);
    await site.startDaemon();
    const lost = await site.json('restore-tree', '--list');
    t.is(lost.length, 1);
    t.regex(String(lost[0]?.['path']), new RegExp(`^${site.mount}#`));
    const restored = await site.json('restore-tree');
    const summary = restored.at(-1) as { restored: number; links: number; failed: number };
    t.like(summary, { summary: true, failed: 0, incomplete: 0, skipped: {}, links: 2, restored: facts.size - 2 });

    const stubs = factsOf(site.mount, false);
    t.deepEqual([...stubs.keys()].toSorted(), [...facts.keys()].toSorted());
    for (const name of facts.keys()) t.is(native.getxattr(Buffer.concat([Buffer.from(`${site.mount}/`), Buffer.from(name, 'latin1')]), stubXattr)?.length, 64, name);
    t.deepEqual(sorted(atimesOf(site.mount, facts.keys())), sorted(atimes));
    t.deepEqual(sorted(factsOf(site.mount)), sorted(facts));
    const [mixed, own] = [lstatSync(join(site.mount, 'd0')), lstatSync(join(site.mount, 'of one'))];
    t.deepEqual([mixed.mode & 0o777, mixed.uid, own.mode & 0o777, own.uid, own.gid], [0o700, 0, 0o700, 1234, 4321]);

    t.is((await site.hsm('restore-tree')).exitCode, 1, 'nothing is lost any more');
    const status = await site.status();
    t.is(status.filesystems[0]?.stubs, 0);
    t.is(status.filesystems[0]?.archived, facts.size - 2);
    await site.stopDaemon();
    const catalog = openCatalog(join(site.folder, 'state', 'catalogue.db'));
    t.deepEqual(await catalog.check(), []);
    await catalog.close();
  });
}

root('a further name is never given to a stranger that has the name of its file', async (t) => {
  t.timeout(300_000);
  const site = await managed(t, 'ext4', { init: ['--cartridges', '3'] });
  const pairs = Array.from({ length: 8 }, (_, i) => [join(site.mount, `one${i}`), join(site.mount, `two${i}`)] as const);
  for (const [one, two] of pairs) {
    writeFileSync(one, one.repeat(1000));
    linkSync(one, two);
    utimesSync(one, old, old);
  }
  t.is((await site.hsm('archive', '--older-than', '1y', site.mount)).exitCode, 0);
  await replaceFilesystem(site, 'ext4');
  await site.startDaemon();
  for (const [one] of pairs) writeFileSync(one, 'a stranger');
  const { exitCode } = await site.hsm('restore-tree', '--from', site.mount, '--into', site.mount);
  t.true(exitCode === 0 || exitCode === 3, String(exitCode));
  const content = (path: string): Promise<string> => execa('cat', [path], { timeout: 60_000 }).then(({ stdout }) => stdout);
  const restored: string[] = [];
  for (const [one, two] of pairs) {
    t.is(await content(one), 'a stranger');
    if (!existsSync(two)) continue;
    restored.push(two);
    t.is(await content(two), one.repeat(1000));
  }
  // Which of its names a file was archived by, the directory's order decided.
  t.true(restored.length < pairs.length, `all of ${restored.length}: the test has tried nothing`);
});

root('what is there already stays as it is, a part can be restored', async (t) => {
  t.timeout(300_000);
  const site = await managed(t, 'ext4', { init: ['--cartridges', '3'] });
  for (const name of ['a/one', 'a/two', 'b/three']) {
    const path = join(site.mount, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, name.repeat(1000));
    utimesSync(path, old, old);
  }
  t.is((await site.hsm('archive', '--older-than', '1y', site.mount)).exitCode, 0);
  await replaceFilesystem(site, 'ext4');
  // The catalogue is still there: the daemon sees by its UUID that this is another filesystem.
  await site.startDaemon();
  t.is((await site.status()).filesystems[0]?.stubs, 0);
  const there = join(site.mount, 'a', 'two');
  mkdirSync(join(site.mount, 'a'), { mode: 0o755 });
  writeFileSync(there, 'somebody was here first');
  const part = await site.json('restore-tree', '--from', site.mount, '--into', site.mount, '--verbose', join(site.mount, 'a'));
  t.like(part.at(-1), { restored: 1, skipped: { exists: 1 }, failed: 0, directories: 0 });
  t.is(readFileSync(there, 'utf8'), 'somebody was here first');
  t.is(readFileSync(join(site.mount, 'a', 'one'), 'utf8'), 'a/one'.repeat(1000));
  t.is(lstatSync(join(site.mount, 'a')).mode & 0o777, 0o755);
  t.deepEqual(readdirSync(site.mount).filter((name) => name !== 'lost+found'), ['a']);
  rmSync(there);
  const rest = await site.json('restore-tree', '--into', site.mount);
  t.like(rest.at(-1), { restored: 2, failed: 0, directories: 1 });
  t.is(readFileSync(join(site.mount, 'b', 'three'), 'utf8'), 'b/three'.repeat(1000));
  t.is(readFileSync(there, 'utf8'), 'a/two'.repeat(1000));
  const nothing = await site.hsm('restore-tree', '--from', site.mount);
  t.is(nothing.exitCode, 5, nothing.stderr);
  t.is((await site.hsm('restore-tree', '--into', '/nowhere')).exitCode, 1);
  t.is((await site.hsm('restore-tree', '/elsewhere')).exitCode, 2);
});

root('a daemon that is killed in the middle of it leaves no half of a stub, and the next run goes on', async (t) => {
  t.timeout(600_000);
  const kill = await killAt(t);
  const site = await managed(t, 'ext4', { init: ['--cartridges', '2'], env: kill.env });
  const names = Array.from({ length: 20 }, (_, number) => `d/${number}`);
  mkdirSync(join(site.mount, 'd'));
  for (const name of names) {
    writeFileSync(join(site.mount, name), name.repeat(1000));
    utimesSync(join(site.mount, name), old, old);
  }
  t.is((await site.hsm('archive', '--older-than', '1y', site.mount)).exitCode, 0);
  let struck = 0;
  for (const [n, when] of [[1, 'before'], [1, 'after'], [2, 'before'], [2, 'after']] as const) {
    await replaceFilesystem(site, 'ext4');
    await site.startDaemon();
    kill.arm({ when, call: 'fsync', path: '', n });
    const cut = await site.hsm('restore-tree');
    if (kill.struck()) struck += 1;
    else t.is(cut.exitCode, 0, cut.stderr);
    kill.arm({ when, call: 'fsync', path: '', n: 0 });
    await until(async () => (await site.hsm('status')).exitCode === 0);
    const rest = await site.hsm('restore-tree');
    // Where all had been made before, nothing is lost any more.
    t.true(rest.exitCode === 0 || (rest.exitCode === 1 && /nothing is lost/.test(rest.stderr)), rest.stderr);
    for (const name of names) t.is(readFileSync(join(site.mount, name), 'utf8'), name.repeat(1000));
    t.deepEqual(readdirSync(join(site.mount, 'd')).length, names.length);
    await site.hsm('release', site.mount);
  }
  t.true(struck >= 3, `${struck} kills`);
});
