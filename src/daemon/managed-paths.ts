/** Which managed filesystem a path is on, and where below its root. */
import { isUtf8 } from 'node:buffer';
import { realpathSync } from 'node:fs';
import { errorCode, HsmError } from '../errors.ts';
import type { WirePath } from './protocol.ts';

export interface ManagedPath {
  /** Index in the configuration's filesystems. */
  readonly filesystem: number;
  /** Relative to its root; empty for the root itself. */
  readonly rel: Buffer;
  /** Absolute, for people. */
  readonly shown: string;
}

export const wireBytes = (path: WirePath): Buffer => (typeof path === 'string' ? Buffer.from(path) : Buffer.from(path.base64, 'base64'));

/** Resolves symbolic links on the way to a named path, as every tool does with its arguments. Opens nothing. */
export function managedPath(path: WirePath, roots: readonly string[]): ManagedPath {
  const bytes = wireBytes(path);
  const shown = bytes.toString();
  let real: Buffer;
  try {
    real = realpathSync.native(bytes, 'buffer');
  } catch (error) {
    const code = errorCode(error);
    throw new HsmError(code, `${shown}: ${code === 'ENOENT' ? 'no such file or directory' : (error as Error).message}`, { path: shown, cause: error });
  }
  let best = -1;
  roots.forEach((root, index) => {
    if (isBelow(real, root) && root.length > (roots[best] ?? '').length) best = index;
  });
  const root = roots[best];
  if (root === undefined) {
    throw new HsmError('NOT_MANAGED', `${shown} is on no managed filesystem: hsm manages ${roots.join(', ')}`, { path: shown });
  }
  return { filesystem: best, rel: real.subarray(Buffer.byteLength(root) + 1), shown };
}

function isBelow(path: Buffer, root: string): boolean {
  const prefix = Buffer.from(root);
  return path.subarray(0, prefix.length).equals(prefix) && (path.length === prefix.length || path[prefix.length] === 0x2f);
}

/** The keys of a path in rows: absolute, with its bytes in `pathBase64` where it is not UTF-8. */
export function pathKeys(root: string, rel: Buffer): { readonly path: string; readonly pathBase64?: string } {
  const path = shownPath(root, rel);
  if (isUtf8(rel)) return { path };
  return { path, pathBase64: Buffer.concat([Buffer.from(`${root}/`), rel]).toString('base64') };
}

/** `root/rel` for people; bytes that are not UTF-8 become U+FFFD. */
export const shownPath = (root: string, rel: Buffer): string => (rel.length === 0 ? root : `${root}/${rel.toString()}`);
