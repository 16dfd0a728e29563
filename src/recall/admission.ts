/** What an event is about: a stub that is to be recalled, or something that is answered at once. */
import type { Catalog } from '../catalog/model.ts';
import { native } from '../native/index.ts';
import { stubXattr, type StubRecord } from '../stub.ts';
import { classify, readInode } from './classify.ts';
import type { DenialErrno, StubEvent } from './keeper-client.ts';
import { findLostRecord } from './lost-record.ts';
import type { Log } from './recaller-options.ts';
import type { ManagedFilesystem } from './restorer.ts';

export type Admission =
  | { readonly kind: 'stub'; readonly ino: number; readonly handleHash: number; readonly bytes: Buffer; readonly record: StubRecord }
  /** null lets the reader go on. */
  | { readonly kind: 'answer'; readonly answer: DenialErrno | null }
  /** A hollow file without a record: only the catalogue tells. */
  | { readonly kind: 'look-up' };

export function admissionOf(event: StubEvent, filesystems: readonly ManagedFilesystem[], log: Log): Admission {
  const inode = readInode(event.fd);
  const verdict = classify(inode);
  if (verdict.kind === 'resident') {
    if (inode.bytes === null && inode.stat.size > 0 && inode.range.data === -1) return { kind: 'look-up' };
    if (verdict.dropRecord) {
      native.removexattr(event.fd, stubXattr);
      log.info({ path: event.path, reason: verdict.reason }, 'dropped a record that meant nothing');
    }
    return { kind: 'answer', answer: null };
  }
  if (verdict.kind === 'refuse' || filesystems[event.filesystem] === undefined) {
    const reason = verdict.kind === 'refuse' ? verdict.reason : 'it is on no managed filesystem';
    log.warn({ path: event.path, pid: event.pid, reason }, 'access refused');
    return { kind: 'answer', answer: verdict.kind === 'refuse' ? verdict.errno : 'EIO' };
  }
  return { kind: 'stub', ino: inode.stat.ino, handleHash: inode.handleHash, bytes: verdict.bytes, record: verdict.record };
}

/** True when it is a stub, whose record is there again; false: a file of nothing but holes. */
export async function isStubWithoutRecord(event: StubEvent, filesystem: number | undefined, catalog: Pick<Catalog, 'object' | 'filesByInode'>, log: Log): Promise<boolean> {
  const { isStub, rewritten } = await findLostRecord(event.fd, filesystem, catalog);
  if (rewritten) log.warn({ path: event.path }, 'a stub had lost its record: written again');
  return isStub;
}
