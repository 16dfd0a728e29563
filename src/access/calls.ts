/** The kernel's ways to read and change a file, each done by the program hsm-access (native/access/). */
import type { AccessCase } from './case.ts';

type Call = Omit<AccessCase, 'family' | 'name' | 'script'>;

/** Ways that print the whole file. */
const reading: Readonly<Record<string, Call>> = {
  read: {},
  pread: {},
  readv: {},
  'read-nowait': {},
  'read-direct': {},
  readahead: {},
  sendfile: {},
  splice: {},
  'seek-data': { content: 'sparse' },
  fiemap: { content: 'sparse' },
  'open-noatime': {},
  'open-rdwr': {},
  'open-nonblock': {},
  openat2: {},
  // The kernel lets nobody else do it.
  'open-by-handle': { users: ['root'] },
  'proc-fd': {},
  'proc-cwd': {},
  hardlink: {},
  symlink: {},
  rename: {},
  exchange: {},
  'mmap-private': {},
  'mmap-shared': {},
  'mmap-populate': {},
  'mmap-mprotect': {},
  'mmap-grow': {},
  'mmap-willneed': {},
  aio: {},
  'aio-direct': {},
  'io-uring': {},
  'io-uring-sqpoll': {},
  'io-uring-async': {},
  'copy-range': {},
  reflink: { types: ['xfs', 'btrfs'] },
  'reflink-range': { types: ['xfs', 'btrfs'], prints: (content) => content.subarray(0, 65_536) },
};

/** As in native/access/access.h. */
const patch = Buffer.from('HSM-ACCESS-PATCH');
const patchOffset = 5000;

/** `content` with `bytes` in place of as many at `offset`. */
function put(content: Buffer, bytes: Buffer, offset: number): Buffer {
  const end = offset + bytes.length;
  return Buffer.concat([content.subarray(0, offset), bytes, content.subarray(end)]);
}

const patched = (content: Buffer): Buffer => put(content, patch, patchOffset);
const grown = (content: Buffer): Buffer => Buffer.concat([content, Buffer.alloc(patchOffset)]);
const cut = (content: Buffer): Buffer => content.subarray(0, patchOffset);
const zeroed = (content: Buffer): Buffer => put(content, Buffer.alloc(8192), patchOffset);

/** Ways that print nothing, and what they leave. */
const writing: Readonly<Record<string, Call & { readonly leaves: (content: Buffer) => Buffer }>> = {
  write: { leaves: (content) => put(content, patch, 0) },
  pwrite: { leaves: patched },
  pwritev: { leaves: patched },
  'write-dsync': { leaves: patched },
  'write-direct': { leaves: (content) => put(content, Buffer.alloc(4096, 'D'), 4096) },
  append: { leaves: (content) => Buffer.concat([content, patch]) },
  'truncate-down': { leaves: cut },
  'truncate-up': { leaves: grown },
  'truncate-zero': { leaves: () => Buffer.alloc(0) },
  'ftruncate-down': { leaves: cut },
  'ftruncate-up': { leaves: grown },
  'open-trunc': { leaves: () => patch },
  creat: { leaves: () => patch },
  fallocate: { leaves: grown },
  punch: { leaves: zeroed },
  'zero-range': { leaves: zeroed },
  'collapse-range': { types: ['ext4', 'xfs'], leaves: (content) => Buffer.concat([content.subarray(0, 4096), content.subarray(8192)]) },
  'insert-range': { types: ['ext4', 'xfs'], leaves: (content) => Buffer.concat([content.subarray(0, 4096), Buffer.alloc(4096), content.subarray(4096)]) },
  'splice-to': { leaves: patched },
  'sendfile-to': { leaves: patched },
  'copy-range-to': { leaves: patched },
  'reflink-to': { types: ['xfs', 'btrfs'], leaves: (content) => put(content, Buffer.alloc(8192, 'R'), 0) },
  'mmap-write': { leaves: patched },
  'aio-write': { leaves: patched },
  'io-uring-write': { leaves: patched },
};

const run = (way: string): string => `"$ACCESS" ${way} "$FILE" "$OTHER"`;

const others: readonly AccessCase[] = [
  { name: 'database-pages', family: 'call', script: run('database-pages'), prints: patched, leaves: patched },
  { name: 'read through a hard link of old', family: 'call', make: 'ln "$FILE" "$FOLDER/second"', script: '"$ACCESS" read "$FOLDER/second"' },
  { name: 'dedupe from', family: 'call', types: ['xfs', 'btrfs'], script: `cp "$EXPECTED" "$OTHER"; ${run('dedupe-from')}`, prints: () => 'same\n' },
  { name: 'dedupe to', family: 'call', types: ['xfs', 'btrfs'], script: `cp "$EXPECTED" "$OTHER"; ${run('dedupe-to')}`, prints: () => 'same\n' },
  { name: 'dedupe with zeros', family: 'call', types: ['xfs', 'btrfs'], script: `head -c 65536 /dev/zero > "$OTHER"; ${run('dedupe-to')}`, prints: () => 'different\n' },
  { name: 'exec of a program', family: 'call', content: 'program', script: '"$FILE" say right', prints: () => 'right\n' },
  { name: 'exec of a descriptor', family: 'call', content: 'program', script: '"$ACCESS" exec-fd "$FILE"', prints: () => 'right\n' },
  { name: 'exec of a script', family: 'call', content: 'script', script: '"$FILE"', prints: () => 'right\n' },
  { name: 'exec through an interpreter', family: 'call', content: 'program', script: `printf '#!%s say\\n' "$FILE" > "$OUT/script"; chmod 755 "$OUT/script"; "$OUT/script" | grep -c script`, prints: () => '1\n' },
  { name: 'dlopen', family: 'call', content: 'library', script: '"$ACCESS" dlopen "$FILE"', prints: () => 'right\n' },
];

export const calls: readonly AccessCase[] = [
  ...Object.entries(reading).map(([way, call]): AccessCase => ({ name: way, family: 'call', script: run(way), ...call })),
  ...Object.entries(writing).map(([way, call]): AccessCase => ({ name: way, family: 'call', script: run(way), prints: () => '', ...call })),
  ...others,
];
