import { readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { filesystemTypes, kernelTest } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';
import { holdRecalls, isStub, makeStubs, queued, read, shell, startRead } from '../../fixtures/stubs.ts';

const realTest = kernelTest(test);
const original = 'the original. '.repeat(1000);

/** What is done to a stub whose recall is queued, and what must be in the file when all is over. */
const changes: Readonly<Record<string, { readonly script: string; readonly after: string }>> = {
  truncate: { script: 'truncate -s 5000 "$1"', after: original.slice(0, 5000) },
  extend: { script: 'truncate -s 20000 "$1"', after: original + '\0'.repeat(6000) },
  empty: { script: ': > "$1"', after: '' },
  overwrite: { script: 'printf new > "$1"', after: 'new' },
  append: { script: 'printf new >> "$1"', after: `${original}new` },
  patch: { script: 'printf new | dd of="$1" bs=1 seek=100 conv=notrunc status=none', after: `${original.slice(0, 100)}new${original.slice(103)}` },
  punch: { script: 'fallocate -p -o 0 -l 4096 "$1"', after: '\0'.repeat(4096) + original.slice(4096) },
  collapse: { script: 'cp --reflink=never /etc/hostname "$1.new" && mv "$1.new" "$1"', after: readFileSync('/etc/hostname', 'utf8') },
};

for (const type of filesystemTypes) {
  realTest(`on ${type} stubs that are changed while their recall is queued end as if they had never been stubs`, async (t) => {
    const hsm = await managed(t, type);
    const names = Object.keys(changes);
    const paths = await makeStubs(hsm, Object.fromEntries(names.map((name) => [name, original])));
    const release = await holdRecalls(hsm);
    const readers = paths.map((path) => read(path));
    await queued(hsm, names.length);
    const users = names.map((name, index) => shell(changes[name]!.script, paths[index]!));
    // Replacing a file by name waits for nobody.
    await queued(hsm, names.length, 2 * names.length - 1);
    await release();
    await Promise.all(users);
    for (const [index, name] of names.entries()) {
      const { exitCode, stdout } = await readers[index]!;
      const { after } = changes[name]!;
      t.is(exitCode, 0, name);
      // Who waited may read before or after the change, or half of each where they run at the same time: never anything else.
      t.true(isMixOf(stdout, original, name === 'collapse' ? original : after), `${name}: ${JSON.stringify(stdout.slice(0, 50))}`);
      t.is(readFileSync(paths[index]!, 'utf8'), after, name);
    }
  });
}

/** Each character is that of one of the two, or behind the end of the other. */
function isMixOf(found: string, one: string, other: string): boolean {
  if (found.length > Math.max(one.length, other.length)) return false;
  return Array.from(found).every((character, at) => character === one[at] || character === other[at]);
}

realTest('a stub that is renamed, unlinked, replaced or touched while its recall is queued still comes back for those who wait', async (t) => {
  const hsm = await managed(t, 'ext4');
  const [moved = '', gone = '', replaced = '', touched = '', folder = ''] = await makeStubs(hsm, {
    moved: `1${original}`,
    gone: `2${original}`,
    replaced: `3${original}`,
    touched: `4${original}`,
    'folder/inside': `5${original}`,
  });
  const release = await holdRecalls(hsm);
  const readers = [moved, gone, replaced, touched, folder].map((path) => startRead(path));
  await queued(hsm, 5);
  renameSync(moved, `${moved} elsewhere`);
  rmSync(gone);
  writeFileSync(`${replaced}.new`, 'new');
  renameSync(`${replaced}.new`, replaced);
  const date = new Date('2020-01-02T03:04:05Z');
  utimesSync(touched, date, date);
  rmSync(join(hsm.mount, 'folder'), { recursive: true });
  await release();
  for (const [index, reader] of readers.entries()) {
    const { exitCode, stdout } = await reader;
    t.is(exitCode, 0);
    t.is(stdout, `${index + 1}${original}`);
  }
  t.is(readFileSync(`${moved} elsewhere`, 'utf8'), `1${original}`);
  t.is(readFileSync(replaced, 'utf8'), 'new');
  t.is(statSync(touched).mtime.getTime(), date.getTime());
  t.is((await hsm.json('ls', `${moved} elsewhere`))[0]?.['state'], 'archived');
});

realTest('a file of a recall job that is deleted or renamed before its turn does no harm to the others', async (t) => {
  const hsm = await managed(t, 'ext4');
  const paths = await makeStubs(hsm, Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`f${index}`, `${index} ${original}`])));
  const release = await holdRecalls(hsm);
  const job = hsm.hsm('--json', 'recall', hsm.mount);
  await queued(hsm, 20, 0);
  rmSync(paths[3]!);
  renameSync(paths[5]!, `${paths[5]!} elsewhere`);
  rmSync(paths[7]!);
  writeFileSync(paths[7]!, 'new');
  await release();
  await job;
  for (const [index, path] of paths.entries()) {
    if (index === 3 || index === 5 || index === 7) continue;
    t.false(isStub(path), path);
    t.is(readFileSync(path, 'utf8'), `${index} ${original}`);
  }
  t.is((await read(`${paths[5]!} elsewhere`)).stdout, `5 ${original}`);
  t.is(readFileSync(paths[7]!, 'utf8'), 'new');
});
