/** Finds the files that `hsm ls` is asked for, by statx and directory reads alone. */
import { closeSync, constants, lstatSync, openSync, statSync } from 'node:fs';
import { HsmError } from '../../errors.ts';
import { native, type WalkBatch } from '../../native/index.ts';
import { stubXattr } from '../../stub.ts';
import { absolute, existing } from '../paths.ts';

/** A regular file. Paths are strings of one character per byte ("latin1"), so that they sort by bytes. */
export interface Entry {
  readonly path: string;
  /** As the user named it. */
  readonly shown: string;
  readonly ino: number;
  readonly size: number;
  readonly blocks: number;
  readonly mtimeNs: bigint;
  /** 64 bytes as they are on disk, or null. */
  readonly record: Buffer | null;
  /** The managed filesystem it is on, as the config names it, or null. */
  readonly filesystem: string | null;
}

const atFdCwd = -100;

/** Sorted by path, each file once. Paths that cannot be read become errors; the rest is listed. */
export async function scan(names: readonly Buffer[], filesystems: readonly string[], recursive: boolean): Promise<{ entries: Entry[]; errors: Error[] }> {
  const managed = managedDevices(filesystems);
  const entries: Entry[] = [];
  const errors: Error[] = [];
  for (const name of names) {
    try {
      await scanOne(name, managed, recursive, entries, errors);
    } catch (error) {
      errors.push(error as Error);
    }
  }
  entries.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  return { entries: entries.filter((each, i) => each.path !== entries[i - 1]?.path), errors };
}

/** Config paths by device number, as statx gives it. */
function managedDevices(filesystems: readonly string[]): Map<number, string> {
  const devices = new Map<number, string>();
  for (const path of filesystems) {
    try {
      devices.set(native.statx(atFdCwd, path).dev, path);
    } catch {
      // Not mounted now: none of the files can be on it.
    }
  }
  return devices;
}

async function scanOne(name: Buffer, managed: ReadonlyMap<number, string>, recursive: boolean, entries: Entry[], errors: Error[]): Promise<void> {
  const path = absolute(name);
  const real = existing(path);
  if (!statSync(real).isDirectory()) {
    if (lstatSync(real).isFile()) entries.push(single(path, name, real, managed));
    return;
  }
  const fd = openSync(real, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const filesystem = managed.get(native.statx(fd, '').dev) ?? null;
    const walker = native.walk(fd, [Buffer.alloc(0)], { threads: 2, records: 'all', recursive });
    try {
      const prefixes = { path: withSlash(path), shown: withSlash(name) };
      for (let batch = await walker.next(); batch !== null; batch = await walker.next()) {
        addBatch(batch, prefixes, filesystem, entries);
        for (const each of batch.errors) errors.push(unreadable(Buffer.concat([Buffer.from(prefixes.path, 'latin1'), each.path]), each.code));
        walker.release(batch);
      }
    } finally {
      walker.close();
    }
  } finally {
    closeSync(fd);
  }
}

function single(path: Buffer, name: Buffer, real: Buffer, managed: ReadonlyMap<number, string>): Entry {
  const stat = native.statx(atFdCwd, real);
  return {
    path: path.toString('latin1'),
    shown: name.toString('latin1'),
    ino: stat.ino,
    size: stat.size,
    blocks: stat.blocks,
    mtimeNs: stat.mtimeNs,
    record: native.getxattr(real, stubXattr),
    filesystem: managed.get(stat.dev) ?? null,
  };
}

function addBatch(batch: WalkBatch, prefixes: { path: string; shown: string }, filesystem: string | null, entries: Entry[]): void {
  const dirs = batch.dirs.map((dir) => (dir.length === 0 ? '' : `${dir.toString('latin1')}/`));
  const names = batch.names.toString('latin1');
  for (let i = 0; i < batch.count; i += 1) {
    const relative = `${dirs[batch.dir[i] ?? 0] ?? ''}${names.slice(batch.nameEnd[i - 1] ?? 0, batch.nameEnd[i])}`;
    entries.push({
      path: prefixes.path + relative,
      shown: prefixes.shown + relative,
      ino: batch.ino[i] ?? 0,
      size: batch.size[i] ?? 0,
      blocks: batch.blocks[i] ?? 0,
      mtimeNs: batch.mtimeNs[i] ?? 0n,
      record: batch.hasRecord[i] === 1 ? Buffer.from(batch.records.subarray(i * 64, i * 64 + 64)) : null,
      filesystem,
    });
  }
}

function withSlash(path: Buffer): string {
  const text = path.toString('latin1');
  return text.endsWith('/') ? text : `${text}/`;
}

function unreadable(path: Buffer, code: string): HsmError {
  const text = path.toString();
  return new HsmError(code, `${text} cannot be read: ${code}`, { path: text });
}

