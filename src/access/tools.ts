/** Programs that people use on their files. */
import { createHash } from 'node:crypto';
import type { AccessCase } from './case.ts';

type Tool = Omit<AccessCase, 'family' | 'name'> | string;

const copied = (command: string): string => `${command} "$FILE" "$OUT/copy"; cat "$OUT/copy"`;
const unmoved = 'the kernel defragments no file whose reads may have to wait for its data';
/** xfs may be made without. */
const canReflink = ': > "$FOLDER/a"; cp --reflink=always "$FOLDER/a" "$FOLDER/b" || exit 77';
const sparse = (command: string): Tool => ({ content: 'sparse', script: copied(command) });
const nothing = () => '';
const upper = (content: Buffer): string => content.toString().replaceAll('tape', 'TAPE');
const replaced = 'what the file is replaced with\n';

const copying: Readonly<Record<string, Tool>> = {
  cat: 'cat "$FILE"',
  cp: copied('cp'),
  'cp, same filesystem': 'cp "$FILE" "$OTHER"; cat "$OTHER"',
  'cp --sparse=auto': sparse('cp --sparse=auto'),
  'cp --sparse=always': sparse('cp --sparse=always'),
  'cp --sparse=always, no hole': copied('cp --sparse=always'),
  'cp --sparse=never': sparse('cp --sparse=never'),
  'cp --reflink=auto': 'cp --reflink=auto "$FILE" "$OTHER"; cat "$OTHER"',
  'cp --reflink=never': 'cp --reflink=never "$FILE" "$OTHER"; cat "$OTHER"',
  'cp --reflink=always': { types: ['xfs', 'btrfs'], script: `${canReflink}; cp --reflink=always "$FILE" "$OTHER"; cat "$OTHER"` },
  'cp --reflink=always into a subvolume': {
    types: ['btrfs'],
    needs: ['btrfs'],
    script: 'btrfs subvolume create sub > "$OUT/log"; cp -a --reflink=always "$FILE" sub/copy; cat sub/copy',
  },
  'cp -a': copied('cp -a'),
  'cp -a, same filesystem': { content: 'sparse', script: 'cp -a "$FILE" "$OTHER"; cat "$OTHER"' },
  'cp -l': 'cp -l "$FILE" "$OTHER"; cat "$OTHER"',
  'cp -s': 'cp -s "$FILE" "$OTHER"; cat "$OTHER"',
  'cp onto it': { script: `printf '${replaced.trim()}\\n' > "$OUT/new"; cp "$OUT/new" "$FILE"`, prints: nothing, leaves: () => replaced },
  install: copied('install -m 644'),
  mv: 'mv "$FILE" "$OTHER"; cat "$OTHER"',
  'mv to another filesystem': { content: 'sparse', script: 'mv "$FILE" "$OUT/copy"; cat "$OUT/copy"', leaves: null },
  tar: 'tar -C "$FOLDER" -cf "$OUT/tar" file; tar -xOf "$OUT/tar"',
  'tar -S': { content: 'sparse', script: 'tar -C "$FOLDER" -Scf "$OUT/tar" file; tar -xOf "$OUT/tar"' },
  'tar -S, no hole': 'tar -C "$FOLDER" -Scf "$OUT/tar" file; tar -xOf "$OUT/tar"',
  'tar --xattrs --acls': 'tar -C "$FOLDER" --xattrs --acls -cf "$OUT/tar" file; tar -C "$OUT" --xattrs --acls -xf "$OUT/tar"; cat "$OUT/file"',
  'rsync -a': { needs: ['rsync'], script: copied('rsync -a') },
  'rsync -aS': { needs: ['rsync'], content: 'sparse', script: copied('rsync -aS') },
  // As docs/operations.md says for root.
  'rsync -aAXS': { needs: ['rsync'], content: 'sparse', script: copied(`rsync -aAXS --filter='-x security.bpf.hsm'`) },
  'rsync -c': { needs: ['rsync'], script: 'cp "$EXPECTED" "$OUT/copy"; rsync -ac "$FILE" "$OUT/copy"; cat "$OUT/copy"' },
  'rsync --inplace onto it': {
    needs: ['rsync'],
    script: '(cat "$EXPECTED"; echo more) > "$OUT/new"; rsync --inplace --no-whole-file "$OUT/new" "$FILE"',
    prints: nothing,
    leaves: (content) => Buffer.concat([content, Buffer.from('more\n')]),
  },
  'cpio -o': { needs: ['cpio'], script: 'echo file | cpio -o --quiet > "$OUT/cpio"; cpio -i --quiet --to-stdout < "$OUT/cpio"' },
  'cpio -p --sparse': { needs: ['cpio'], content: 'sparse', script: 'echo file | cpio -p --quiet --sparse "$OUT"; cat "$OUT/file"' },
  dd: 'dd if="$FILE" of="$OUT/copy" bs=64K status=none; cat "$OUT/copy"',
  'dd conv=sparse': { content: 'sparse', script: 'dd if="$FILE" of="$OUT/copy" bs=4K conv=sparse status=none; cat "$OUT/copy"' },
  'dd iflag=direct': 'dd if="$FILE" bs=4K iflag=direct status=none',
};

const working: Readonly<Record<string, Tool>> = {
  'dd conv=notrunc onto it': {
    script: 'printf patch | dd of="$FILE" bs=1 seek=5000 conv=notrunc status=none',
    prints: nothing,
    leaves: (content) => Buffer.concat([content.subarray(0, 5000), Buffer.from('patch'), content.subarray(5005)]),
  },
  'shell >': { script: `printf '${replaced.trim()}\\n' > "$FILE"`, prints: nothing, leaves: () => replaced },
  'shell >>': { script: 'echo more >> "$FILE"', prints: nothing, leaves: (content) => Buffer.concat([content, Buffer.from('more\n')]) },
  'truncate -s': { script: 'truncate -s 30000 "$FILE"', prints: nothing, leaves: (content) => content.subarray(0, 30_000) },
  'tail -c': { script: 'tail -c 1000 "$FILE"', prints: (content) => content.subarray(-1000) },
  sha256sum: { script: 'sha256sum < "$FILE"', prints: (content) => `${createHash('sha256').update(content).digest('hex')}  -\n` },
  cmp: { script: 'cmp "$EXPECTED" "$FILE" && echo same', prints: () => 'same\n' },
  gzip: { script: 'gzip -c "$FILE" | gzip -dc' },
  'grep -c': { content: 'text', script: 'grep -c "went to tape$" "$FILE"', prints: () => '2000\n' },
  'sed -i': { content: 'text', script: 'sed -i s/tape/TAPE/ "$FILE"; cat "$FILE"', prints: upper, leaves: null },
  'sort -o': { content: 'text', script: 'sort -R -o "$FILE" "$FILE"; sort -V "$FILE"', leaves: null },
  'stat, ls, du, find, test': {
    script: 'stat "$FILE" > "$OUT/log"; ls -lZ "$FILE" >> "$OUT/log"; du "$FILE" >> "$OUT/log"; find "$FILE" -size +1k >> "$OUT/log"; test -s "$FILE"',
    prints: nothing,
    recalls: false,
    leaves: null,
  },
  'filefrag and lsattr': { needs: ['filefrag', 'lsattr'], script: 'filefrag "$FILE" > "$OUT/log"; lsattr "$FILE" >> "$OUT/log"; cat "$FILE"' },
  'btrfs defragment': { types: ['btrfs'], needs: ['btrfs'], script: 'btrfs filesystem defragment -f "$FILE" > "$OUT/log"; cat "$FILE"', refused: unmoved },
  'chown, setfacl': { needs: ['setfacl'], script: 'chown "$OWNER" "$FILE"; setfacl -m u:12345:r "$FILE"; cat "$FILE"' },
  'chmod, touch, setfattr': { needs: ['setfattr'], script: 'chmod 600 "$FILE"; touch -d 2001-01-01 "$FILE"; setfattr -n user.test -v 1 "$FILE"; cat "$FILE"' },
};

const repository = `export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1; git init -q repo; cd repo; git config user.name n; git config user.email e
for i in 1 2 3; do seq "$i" 2000 > "file$i"; git add .; git commit -qm "commit $i"; done; git gc -q; seq 5 > loose; git add .; git commit -qm last`;
const inRepository = (script: string): Tool => ({
  content: 'none',
  file: 'repo/.git/HEAD',
  needs: ['git'],
  make: repository,
  script: `export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1; cd repo; ${script}; echo right`,
  prints: () => 'right\n',
});

const rows = `CREATE TABLE t(id INTEGER PRIMARY KEY, text); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i, 'row ' || i FROM n; CREATE INDEX x ON t(text);`;
const inDatabase = (pragmas: string, use: string, first = ''): Tool => ({
  content: 'none',
  needs: ['sqlite3'],
  make: `sqlite3 "$FILE" "${pragmas} ${rows}" > "$OUT/log"`,
  script: `sqlite3 "$FILE" "${use}"`,
  prints: () => `${first}ok\n2001000\n`,
});
const checked = 'PRAGMA integrity_check; SELECT sum(id) FROM t;';

const python = (script: string): Tool => ({ needs: ['python3'], script: `exec python3 -c '${script}'` });

const programs: Readonly<Record<string, Tool>> = {
  'git fsck': inRepository('git fsck --full --strict 2> "$OUT/log" >&2'),
  'git status and log': inRepository('test -z "$(git status --porcelain)"; test "$(git log -p | grep -c "^commit")" = 4'),
  'git commit and gc': inRepository('seq 7 > new; git add .; git commit -qm new; git gc -q; git fsck --strict 2> "$OUT/log" >&2; test "$(git log --oneline | wc -l)" = 5'),
  'git clone': inRepository('git clone -q . "$OUT/clone"; cmp file1 "$OUT/clone/file1"'),
  'sqlite read': inDatabase('', checked),
  'sqlite read, memory-mapped': inDatabase('', `PRAGMA mmap_size = 1000000; ${checked}`, '1000000\n'),
  'sqlite write': inDatabase('', `INSERT INTO t VALUES (3000, 'new'); DELETE FROM t WHERE id = 3000; ${checked}`),
  'sqlite WAL': inDatabase('PRAGMA journal_mode = WAL;', `INSERT INTO t VALUES (3000, 'new'); DELETE FROM t WHERE id = 3000; ${checked}`),
  'sqlite vacuum': inDatabase('', `VACUUM; ${checked}`),
  'python read': python('import os, sys; sys.stdout.buffer.write(open(os.environ["FILE"], "rb").read())'),
  'python mmap': python('import mmap, os, sys; f = open(os.environ["FILE"], "rb"); sys.stdout.buffer.write(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:])'),
  'python shutil.copyfile': python('import os, shutil, sys; copy = os.environ["OUT"] + "/copy"; shutil.copyfile(os.environ["FILE"], copy); sys.stdout.buffer.write(open(copy, "rb").read())'),
  'python zipfile, into': python('import os, sys, zipfile; z = zipfile.ZipFile(os.environ["OUT"] + "/zip", "w"); z.write(os.environ["FILE"], "file"); z.close(); sys.stdout.buffer.write(zipfile.ZipFile(os.environ["OUT"] + "/zip").read("file"))'),
  'python zipfile, from': {
    content: 'none',
    needs: ['python3'],
    make: `python3 -c 'import os, zipfile; z = zipfile.ZipFile(os.environ["FILE"], "w"); z.writestr("a", b"right\\n" * 10000); z.writestr("b", b"right\\n"); z.close()'`,
    script: `exec python3 -c 'import os, sys, zipfile; z = zipfile.ZipFile(os.environ["FILE"]); assert z.testzip() is None; sys.stdout.buffer.write(z.read("b"))'`,
    prints: () => 'right\n',
  },
};

export const tools: readonly AccessCase[] = Object.entries({ ...copying, ...working, ...programs }).map(
  ([name, tool]): AccessCase => ({ name, family: 'tool', ...(typeof tool === 'string' ? { script: tool } : tool) }),
);
