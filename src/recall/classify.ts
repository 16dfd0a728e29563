/** What an inode with a record is: a stub of ours, a foreign copy, or something to refuse (docs/design.md "The stub record"). */
import { native, type FileStat } from '../native/index.ts';
import { decodeStubRecord, stubXattr, type StubRecord } from '../stub.ts';
import type { DenialErrno } from './keeper-client.ts';

export type Verdict =
  /** The data on disk is the file. `dropRecord`: a record is there that means nothing. */
  | { readonly kind: 'resident'; readonly dropRecord: boolean; readonly reason: string }
  /** The data is on tape. `own`: bound to this inode; else a hollow copy that may be filled from the object it names. */
  | { readonly kind: 'stub'; readonly own: boolean; readonly bytes: Buffer; readonly record: StubRecord }
  | { readonly kind: 'refuse'; readonly errno: DenialErrno; readonly reason: string };

export interface Inode {
  readonly stat: Pick<FileStat, 'size' | 'mtimeNs'>;
  /** Offsets of its first data (-1: none) and first hole. Blocks do not tell: large attributes of a stub take some, too. */
  readonly range: { readonly data: number; readonly hole: number };
  /** Hash of its file handle. */
  readonly handleHash: number;
  /** Value of the xattr, null when there is none. */
  readonly bytes: Buffer | null;
}

/** Never says 'resident' of an inode whose bytes could be zeros in place of data: when in doubt, refuse. */
export function classify({ stat, range, handleHash, bytes }: Inode): Verdict {
  if (bytes === null) return { kind: 'resident', dropRecord: false, reason: 'no record' };
  if (stat.size === 0) return { kind: 'resident', dropRecord: true, reason: 'emptied' };
  const hollow = range.data === -1;
  const holes = range.hole < stat.size;
  const record = decodeStubRecord(bytes);
  if (record === null) {
    return holes
      ? { kind: 'refuse', errno: 'EIO', reason: 'its record is damaged' }
      : { kind: 'resident', dropRecord: true, reason: 'a damaged record on real data' };
  }
  const own = record.handleHash === handleHash;
  if (record.size === stat.size && (own || hollow)) return { kind: 'stub', own, bytes, record };
  // A stub of ours that was cut or written to while nothing guarded it: where it has a hole, data is missing.
  if (hollow || (own && holes)) return { kind: 'refuse', errno: 'EIO', reason: `its size is ${stat.size}, its record says ${record.size}` };
  // A recall sets the mtime last: a copy that keeps mtimes is a whole sparse file then, anything else maybe a snapshot of half a recall.
  if (holes && record.size === stat.size && record.mtimeNs !== stat.mtimeNs) return { kind: 'refuse', errno: 'EIO', reason: 'it may be a copy of a recall that was under way' };
  return { kind: 'resident', dropRecord: true, reason: own ? 'changed while nothing guarded it' : 'a copy that carries another file\'s record' };
}

/** Reads what classify() needs through an fd that raises no events. */
export function readInode(fd: number): Inode & { readonly stat: FileStat } {
  return {
    stat: native.statx(fd, ''),
    range: native.dataRange(fd),
    handleHash: native.handleHash(native.fileHandle(fd, '')),
    bytes: native.getxattr(fd, stubXattr),
  };
}

/**
 * The times that a file has after its recall: a recall that was cut short has moved the mtime of what it wrote to, and then the record
 * knows the file's own. A write moves mtime and ctime alike; attributes that do not fit into an inode take up to 8 sectors.
 */
export function timesOf({ blocks, atimeNs, mtimeNs, ctimeNs }: Pick<FileStat, 'blocks' | 'atimeNs' | 'mtimeNs' | 'ctimeNs'>, record: StubRecord): { atimeNs: bigint; mtimeNs: bigint } {
  const written = blocks > 8 || (blocks > 0 && mtimeNs === ctimeNs);
  return { atimeNs, mtimeNs: written ? record.mtimeNs : mtimeNs };
}
