/** Real files of this machine, copied and then made to look five years old, and what each of them is. */
import { createHash } from 'node:crypto';
import { closeSync, copyFileSync, existsSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, type Dirent, utimesSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { projectRoot } from '../../native/index.ts';

export interface FilePrint {
  readonly size: number;
  readonly mtimeMs: number;
  readonly sha256: string;
}

const wanted = { files: 2000, bytes: 150 * 2 ** 20, biggest: 8 * 2 ** 20 };
const bigFile = 64 * 2 ** 20;
const fiveYearsMs = 5 * 365.25 * 86_400_000;

/** Copies files into `folder`; tells where they came from. */
export function fillWithFiles(folder: string): string[] {
  const sources = ['/usr/include', '/usr/share', '/usr/lib/python3', join(projectRoot, 'node_modules')].filter((each) => existsSync(each));
  let files = 0;
  let bytes = 0;
  const used: string[] = [];
  for (const [index, source] of sources.entries()) {
    const share = { files: Math.ceil(wanted.files / (sources.length - index)), bytes: Math.ceil(wanted.bytes / (sources.length - index)) };
    const target = join(folder, basename(source));
    for (const path of someFiles(source)) {
      if (files >= Math.min(wanted.files, share.files * (index + 1)) || bytes >= Math.min(wanted.bytes, share.bytes * (index + 1))) break;
      const { size } = lstatSync(path);
      if (size === 0 || size > wanted.biggest) continue;
      copy(path, join(target, path.slice(source.length)));
      files += 1;
      bytes += size;
    }
    used.push(source);
  }
  copy('/bin/echo', join(folder, 'bin/echo'));
  makeBigFile(join(folder, 'big/64-MiB'), join(folder, basename(sources[0] ?? '/')));
  makeSparseFile(join(folder, 'big/sparse'));
  return used;
}

/** Regular files below a folder, a few of each subfolder first, so that a sample is a mixture. */
function* someFiles(folder: string): Generator<string> {
  const folders = [folder];
  for (let path = folders.shift(); path !== undefined; path = folders.shift()) {
    let entries: Dirent[];
    try {
      entries = readdirSync(path, { withFileTypes: true });
    } catch {
      continue;
    }
    for (const entry of entries.filter((each) => each.isFile()).slice(0, 40)) yield join(path, entry.name);
    folders.push(...entries.filter((each) => each.isDirectory()).map((each) => join(path, each.name)));
  }
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}

function makeBigFile(path: string, folder: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, 'w');
  for (let size = 0; size < bigFile; ) {
    let wrote = 0;
    for (const file of someFiles(folder)) {
      wrote += writeSync(fd, readFileSync(file).subarray(0, bigFile - size - wrote));
      if (size + wrote >= bigFile) break;
    }
    if (wrote === 0) wrote = writeSync(fd, Buffer.alloc(bigFile - size, 'hsm'));
    size += wrote;
  }
  closeSync(fd);
}

function makeSparseFile(path: string): void {
  const fd = openSync(path, 'w');
  for (const at of [0, 20, 40]) writeSync(fd, Buffer.alloc(2 ** 20, `at ${at} MiB `), 0, 2 ** 20, at * 2 ** 20);
  closeSync(fd);
}

/** Sets all times to five years ago. */
export function makeOld(folder: string): void {
  const then = new Date(Date.now() - fiveYearsMs);
  then.setUTCHours(12, 0, 0, 0);
  for (const name of namesBelow(folder)) utimesSync(join(folder, name), then, then);
}

/** Relative names of regular files. */
export function namesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name).slice(folder.length + 1));
}

/** Reads every file below a folder. */
export function printsOf(folder: string): Map<string, FilePrint> {
  return new Map(
    namesBelow(folder).map((name) => {
      const { size, mtimeMs } = lstatSync(join(folder, name));
      return [name, { size, mtimeMs, sha256: sha256Of(join(folder, name)) }];
    }),
  );
}

/** Names whose content (or, unless `contentOnly`, time) differs, is missing or was not there before. */
export function difference(before: ReadonlyMap<string, FilePrint>, after: ReadonlyMap<string, FilePrint>, options: { readonly contentOnly?: boolean } = {}): string[] {
  const same = (a: FilePrint, b: FilePrint | undefined) => a.size === b?.size && a.sha256 === b.sha256 && (options.contentOnly === true || a.mtimeMs === b.mtimeMs);
  const changed = [...before].filter(([name, print]) => !same(print, after.get(name))).map(([name]) => name);
  return [...changed, ...[...after.keys()].filter((name) => !before.has(name))];
}

const buffer = Buffer.alloc(2 ** 20);

function sha256Of(path: string): string {
  const hash = createHash('sha256');
  const fd = openSync(path, 'r');
  try {
    for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) hash.update(buffer.subarray(0, length));
  } finally {
    closeSync(fd);
  }
  return hash.digest('hex');
}
