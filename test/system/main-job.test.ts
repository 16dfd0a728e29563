import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { native } from '../../src/native/index.ts';
import { stubXattr } from '../../src/stub.ts';
import { filesystemTypes, kernelTest } from '../fixtures/loopfs.ts';
import { managed, summaryOf, type Managed, type SummaryLine } from '../fixtures/managed.ts';
import { factsOf, makeTree, sha256Of, type FileFacts } from '../fixtures/tree.ts';

const realTest = kernelTest(test);
const limit = 300_000;
const mib = 2 ** 20;

/** Each way of reading gets a folder of stubs of its own. */
const ways: Readonly<Record<string, (folder: string, target: string) => Promise<void>>> = {
  cat: async (folder, target) => {
    await shell(`cd "$1" && find . -type f -print0 | while IFS= read -r -d '' f; do mkdir -p "$2/$(dirname "$f")"; cat "$f" > "$2/$f"; done`, folder, target);
  },
  'cp --sparse=always': (folder, target) => shell('cp -a --sparse=always "$1/." "$2/"', folder, target),
  'mv across filesystems': (folder, target) => shell('cp -al "$1" "$1.kept" && mv "$1" "$2/moved" && mv "$2/moved/"* "$2/" && mv "$1.kept" "$1"', folder, target),
  tar: (folder, target) => shell('tar -C "$1" --xattrs --acls -cf - . | tar -C "$2" --xattrs --acls -xpf -', folder, target),
  'tar -S': (folder, target) => shell('tar -C "$1" -S --xattrs --acls -cf - . | tar -C "$2" --xattrs --acls -xpf -', folder, target),
  // Root's rsync -X reads long xattrs twice, and the record is gone the second time: it says so (exit 23) unless told to leave it alone.
  rsync: (folder, target) => shell(`rsync -aAXHS --filter='-x security.bpf.hsm' "$1/" "$2/"`, folder, target),
  dd: (folder, target) => shell(`cd "$1" && find . -type f -print0 | while IFS= read -r -d '' f; do dd if="$f" of="$2/$f" bs=64K status=none; done`, folder, target),
  'python mmap': (folder, target) => shell(`python3 -c '${mmapCopy}' "$1" "$2"`, folder, target),
};

const mmapCopy = `
import mmap, os, sys
source, target = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2])
for name in os.listdir(source):
    path = os.path.join(source, name)
    if not os.path.isfile(path) or os.path.islink(path): continue
    with open(path, "rb") as f, open(os.path.join(target, name), "wb") as out:
        if os.fstat(f.fileno()).st_size:
            with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m: out.write(m)
`;

const shell = async (script: string, ...words: string[]): Promise<void> => {
  await execa('bash', ['-ec', script, 'test', ...words], { timeout: limit });
};

/** Contents only: some ways do not keep attributes. */
const hashes = (facts: ReadonlyMap<string, FileFacts>): Record<string, string> => Object.fromEntries([...facts].map(([name, { sha256 }]) => [name, sha256]));

async function archiveAll(t: ExecutionContext, hsm: Managed, facts: ReadonlyMap<string, FileFacts>): Promise<SummaryLine> {
  const empty = [...facts.values()].filter(({ size }) => size === 0).length;
  const linked = [...facts.values()].filter(({ nlink }) => nlink > 1).length;
  const summary = summaryOf(await hsm.json('archive', '--older-than', '4y', hsm.mount));
  const inodes = facts.size - linked / 2;
  t.is(summary.failed, 0);
  t.is(summary.skipped['empty'], empty);
  t.is(summary.archived, inodes - empty);
  t.is(summary.released, inodes - empty);
  return summary;
}

function assertStubs(t: ExecutionContext, hsm: Managed, facts: ReadonlyMap<string, FileFacts>): void {
  let stubs = 0;
  for (const [name, { size }] of facts) {
    if (size === 0) continue;
    const path = Buffer.concat([Buffer.from(`${hsm.mount}/`), Buffer.from(name, 'latin1')]);
    const { blocks } = native.statx(-100, path);
    if (native.getxattr(path, stubXattr)?.length !== 64) t.fail(`${name} carries no record`);
    // A file with an xattr of its user's that does not fit into the inode keeps that block.
    if (blocks > 8 || (blocks > 0 && native.listxattr(path).length === 1)) t.fail(`${name} keeps ${blocks} blocks`);
    stubs += 1;
  }
  t.true(stubs > 0);
}

for (const type of filesystemTypes) {
  realTest(`on ${type} 2,000 cold files are archived, and every way of reading brings every byte and attribute back`, async (t) => {
    t.timeout(1_200_000);
    const hsm = await managed(t, type, { sizeMiB: 3000 });
    const target = mkdtempSync(join(tmpdir(), 'hsm-copies-'));
    t.teardown(() => rmSync(target, { recursive: true, force: true }));
    const names = Object.keys(ways);
    makeTree(hsm.mount, { folders: names.length, filesPerFolder: 250, biggest: 20 * mib });
    makeTree(join(hsm.mount, 'one'), { folders: 1, filesPerFolder: 20, biggest: 200 * mib, seed: 99 });
    const program = join(hsm.mount, 'program');
    copyFileSync('/bin/true', program);
    await execa('touch', ['-d', '2015-01-01', program]);
    const before = factsOf(hsm.mount);
    t.true(before.size > 2000);
    const first = await archiveAll(t, hsm, before);
    assertStubs(t, hsm, before);
    const listed = await hsm.json('ls', '-R', hsm.mount);
    t.is(listed.length, before.size);
    t.is(listed.filter(({ state }) => state === 'stub').length, [...before.values()].filter(({ size }) => size > 0).length);

    for (const [index, way] of names.entries()) {
      const folder = join(hsm.mount, `d${index}`);
      const copy = join(target, String(index));
      mkdirSync(copy);
      await ways[way]?.(folder, copy);
      const expected = new Map([...before].filter(([name]) => name.startsWith(`d${index}/`)).map(([name, facts]) => [name.slice(`d${index}/`.length), facts]));
      t.deepEqual(hashes(factsOf(copy)), hashes(expected), way);
    }
    t.is((await execa(program, { reject: false, timeout: limit })).exitCode, 0);
    t.deepEqual(factsOf(hsm.mount), before);

    const again = summaryOf(await hsm.json('archive', '--older-than', '0s', hsm.mount));
    t.is(again.archived, 0);
    t.is(again.failed, 0);
    t.is(again.released, first.released);
    t.like(summaryOf(await hsm.json('release', hsm.mount)), { released: 0, failed: 0 });
    const recalled = summaryOf(await hsm.json('recall', hsm.mount));
    t.is(recalled.failed, 0);
    t.deepEqual(factsOf(hsm.mount), before);
  });
}

realTest('a changed file is written again, and the old version is never seen', async (t) => {
  const hsm = await managed(t, 'ext4');
  const path = join(hsm.mount, 'file');
  for (const content of ['first version', 'second version', 'third, longer version']) {
    writeFileSync(path, content);
    await execa('touch', ['-d', '2015-01-01', path]);
    t.like(summaryOf(await hsm.json('archive', '--older-than', '4y', hsm.mount)), { archived: 1, released: 1 });
    t.is(readFileSync(path, 'utf8'), content);
  }
});

realTest('writes, truncates and appends to a stub act on the whole file', async (t) => {
  const hsm = await managed(t, 'ext4');
  const names = ['append', 'truncate', 'overwrite', 'empty', 'patch'];
  for (const name of names) writeFileSync(join(hsm.mount, name), Buffer.alloc(10_000, name[0]));
  execFileSync('touch', ['-d', '2015-01-01', ...names.map((name) => join(hsm.mount, name))]);
  t.like(summaryOf(await hsm.json('archive', '--older-than', '4y', hsm.mount)), { archived: 5, released: 5 });
  await shell('cd "$1" && printf more >> append && truncate -s 5000 truncate && printf new > overwrite && : > empty && printf xx | dd of=patch bs=1 seek=5000 conv=notrunc status=none', hsm.mount);
  t.is(readFileSync(join(hsm.mount, 'append'), 'latin1'), `${'a'.repeat(10_000)}more`);
  t.is(readFileSync(join(hsm.mount, 'truncate'), 'latin1'), 't'.repeat(5000));
  t.is(readFileSync(join(hsm.mount, 'overwrite'), 'latin1'), 'new');
  t.is(readFileSync(join(hsm.mount, 'empty'), 'latin1'), '');
  t.is(readFileSync(join(hsm.mount, 'patch'), 'latin1'), `${'p'.repeat(5000)}xx${'p'.repeat(4998)}`);
});

realTest('a kill -9 of the daemon in the middle of recalls fails no read', async (t) => {
  const hsm = await managed(t, 'ext4', { sizeMiB: 1500 });
  const count = 12;
  for (let index = 0; index < count; index += 1) writeFileSync(join(hsm.mount, `f${index}`), Buffer.alloc(40 * mib, index + 1));
  await shell('touch -d 2015-01-01 "$1"/f*', hsm.mount);
  t.like(summaryOf(await hsm.json('archive', '--older-than', '4y', hsm.mount)), { archived: count, released: count });
  const { daemon } = await hsm.status();
  const readers = Array.from({ length: count }, (_, index) => execa('sha256sum', [join(hsm.mount, `f${index}`)], { reject: false, timeout: limit }));
  for (let n = 0; n < 200 && statSync(join(hsm.mount, 'f0')).blocks === 0; n += 1) await new Promise((resolve) => setTimeout(resolve, 5));
  process.kill(daemon.pid, 'SIGKILL');
  const results = await Promise.all(readers);
  t.deepEqual(
    results.map(({ exitCode }) => exitCode),
    results.map(() => 0),
  );
  for (let index = 0; index < count; index += 1) t.is(results[index]?.stdout.split(' ')[0], sha256Of(join(hsm.mount, `f${index}`)));
  t.is(readFileSync(join(hsm.mount, 'f3'))[39 * mib], 4);
  t.not((await hsm.status()).daemon.pid, daemon.pid);
});

/** Index of the first byte that is not `value`; -1: none. */
const firstWrong = (bytes: Uint8Array, value: number): number => bytes.findIndex((byte) => byte !== value);

realTest('a kill -9 of the keeper fails no read', async (t) => {
  const hsm = await managed(t, 'ext4', { sizeMiB: 1500 });
  const count = 12;
  for (let index = 0; index < count; index += 1) writeFileSync(join(hsm.mount, `f${index}`), Buffer.alloc(40 * mib, index + 1));
  await shell('touch -d 2015-01-01 "$1"/f*', hsm.mount);
  t.like(summaryOf(await hsm.json('archive', '--older-than', '4y', hsm.mount)), { released: count });
  const { keeper } = await hsm.status();
  const readers = Array.from({ length: count }, (_, index) => execa('cat', [join(hsm.mount, `f${index}`)], { reject: false, timeout: limit, encoding: 'buffer', stripFinalNewline: false, maxBuffer: 100 * mib }));
  for (let n = 0; n < 200 && statSync(join(hsm.mount, 'f0')).blocks === 0; n += 1) await new Promise((resolve) => setTimeout(resolve, 5));
  process.kill(keeper.pid, 'SIGKILL');
  for (const [index, { exitCode, stdout }] of (await Promise.all(readers)).entries()) {
    t.is(firstWrong(stdout, index + 1), -1, `f${index}, exit ${exitCode}`);
    t.is(exitCode, 0);
    t.is(stdout.length, 40 * mib);
  }
  for (let index = 0; index < count; index += 1) {
    const { stdout } = await execa('cat', [join(hsm.mount, `f${index}`)], { timeout: limit, encoding: 'buffer', stripFinalNewline: false, maxBuffer: 100 * mib });
    t.is(stdout.length, 40 * mib);
    t.is(firstWrong(stdout, index + 1), -1);
  }
  const after = await hsm.status();
  t.not(after.keeper.pid, keeper.pid);
  process.kill(after.keeper.pid, 'SIGTERM');
});
