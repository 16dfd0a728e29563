/** Paths from the command line and from NUL-separated lists, byte for byte. */
import { isUtf8 } from 'node:buffer';
import { readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { posix } from 'node:path';
import type { WirePath } from '../daemon/protocol.ts';
import { errorCode, HsmError, usageError } from '../errors.ts';

/** Absolute paths from arguments and, with `list`, from a file of NUL-ended paths (`-`: stdin). At least one, else a usage error. */
export function givenPaths(args: readonly string[], list?: string): { readonly named: Buffer[]; readonly listed: Buffer[] } {
  if (args.includes('')) throw usageError('a path is empty: check the variable that it came from');
  const named = bytesOfArguments(args).map(absolute);
  const listed = list === undefined ? [] : readList(list).map(absolute);
  if (list === undefined && named.length === 0) throw usageError('no path given: name files or directories, or a list with --files0-from');
  return { named, listed };
}

/** A path without symbolic links, `.` and `..`; fails with `ENOENT` when there is nothing. What this user may not look at stays as it is. */
export function existing(path: Buffer): Buffer {
  try {
    return realpathSync.native(path, 'buffer');
  } catch (error) {
    const code = errorCode(error);
    if (code === 'EACCES') return path;
    const text = path.toString();
    throw new HsmError(code, code === 'ENOENT' || code === 'ENOTDIR' ? `${text} does not exist` : `${text} cannot be reached: ${code}`, { path: text, cause: error });
  }
}

/** Strings travel as they are; bytes that are not UTF-8 as base64. */
export const wirePath = (path: Buffer): WirePath => (isUtf8(path) ? path.toString() : { base64: path.toString('base64') });

/** The JSON keys of a path: `path` with U+FFFD for what is not UTF-8, and then its bytes in `pathBase64`. */
export const pathKeys = (path: Buffer): { path: string; pathBase64?: string } =>
  isUtf8(path) ? { path: path.toString() } : { path: path.toString(), pathBase64: path.toString('base64') };

/** Relative paths start at the working folder, whose name may be any bytes too. */
export function absolute(path: Buffer): Buffer {
  const cwd = path[0] === 0x2f ? '/' : readlinkSync('/proc/self/cwd', 'buffer').toString('latin1');
  return Buffer.from(posix.resolve(cwd, path.toString('latin1')), 'latin1');
}

function readList(file: string): Buffer[] {
  const bytes = readFileSync(file === '-' ? 0 : file);
  const paths: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const zero = bytes.indexOf(0, start);
    const end = zero === -1 ? bytes.length : zero;
    if (end > start) paths.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return paths;
}

/**
 * The bytes behind arguments that Node decoded: what is not UTF-8 became U+FFFD, and /proc/self/cmdline still has it. Equal
 * texts are taken in order.
 */
export function bytesOfArguments(args: readonly string[]): Buffer[] {
  if (!args.some((arg) => arg.includes('\u{fffd}'))) return args.map((arg) => Buffer.from(arg));
  const raw = splitZero(readFileSync('/proc/self/cmdline')).slice(2);
  return args.map((arg) => {
    const at = raw.findIndex((bytes) => bytes.toString() === arg);
    return at === -1 ? Buffer.from(arg) : (raw.splice(at, 1)[0] as Buffer);
  });
}

function splitZero(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0, start);
    parts.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return parts;
}
