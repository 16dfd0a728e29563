/** Where things are on an LTFS volume, for people as well as for hsm (docs/tape-format.md "LTFS volumes"). */
import { constants } from 'node:fs';
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, HsmError } from '../../errors.ts';

export const ltfsNames = {
  readme: 'README.txt',
  containers: 'containers',
  /** In a container's folder: all bytes of the archive that are no file's content. */
  headers: 'headers.bin',
  manifest: 'manifest.jsonl',
  files: 'files',
  /** Files whose own name LTFS does not take. */
  objects: 'objects',
} as const;

/** Extended attributes: LTFS keeps them in its index, so that no tape moves to read them. */
export const ltfsXattrs = { container: 'user.hsm.container', member: 'user.hsm.member', sync: 'user.ltfs.sync', generation: 'user.ltfs.indexGeneration' } as const;

/** LTFS takes no longer value. */
export const longestXattr = 4096;

export const folderName = (number: number): string => String(number).padStart(6, '0');

/** The number of a container's folder, or null. */
export const folderNumber = (name: string): number | null => (/^\d{6,9}$/.test(name) ? Number(name) : null);

/**
 * A member's name as LTFS takes it: UTF-8. Where it is not, bytes above 127 are written as %XX. Null where a part of it would lead out
 * of the folder.
 */
export function fileName(name: Buffer): string | null {
  const text = name.toString('utf8');
  const usable = Buffer.from(text).equals(name) ? text : name.toString('latin1').replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`);
  return usable.split('/').some((part) => part === '' || part === '.' || part === '..') ? null : usable;
}

/** A folder below `base`, which is there, and those above it. Node's own recursive mkdir tells ENOENT of a volume that takes no writes. */
export async function makeFolders(base: string, path: string): Promise<void> {
  let folder = base;
  for (const part of path.split('/')) {
    folder = join(folder, part);
    await mkdir(folder).catch((error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error;
    });
  }
}

/** For reading past the page cache: what counts is what LTFS has, not what was just written to it. */
export const openForReading = (path: string): Promise<FileHandle> => open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECT);

/** Reads until `into` is full. Fails with `EIO` where the file ends before. */
export async function readFully(handle: FileHandle, into: Buffer, position: number, what: string): Promise<void> {
  for (let at = 0; at < into.length; ) {
    const { bytesRead } = await handle.read(into, at, into.length - at, position + at);
    if (bytesRead === 0) throw new HsmError('EIO', `${what} ends after ${position + at} bytes, before it should`, { retry: 'other-copy' });
    at += bytesRead;
  }
}

/** All of it, and an error where less arrived than was sent. */
export async function writeFully(handle: FileHandle, data: Buffer, position: number): Promise<void> {
  for (let at = 0; at < data.length; ) {
    const { bytesWritten } = await handle.write(data, at, data.length - at, position + at);
    if (bytesWritten === 0) throw new HsmError('EIO', 'LTFS takes no more bytes', { retry: 'other-copy' });
    at += bytesWritten;
  }
}

/** An error of the mounted volume, as the medium contract has them. */
export function volumeError(cause: unknown, what: string): HsmError {
  if (cause instanceof HsmError) return cause;
  const code = errorCode(cause);
  if (code === 'ENOSPC' || code === 'EDQUOT') return new HsmError('ENOSPC', `${what}: the volume is full`, { retry: 'other-copy', cause });
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return new HsmError('EROFS', `${what}: LTFS takes no writes for it (${code})`, { retry: 'other-copy', cause });
  return new HsmError('EIO', `${what}: ${code}`, { retry: 'other-copy', cause });
}
