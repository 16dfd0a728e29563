/** Stub records that the scan met on files with blocks: of stubs whose attributes take a block, or ones that mean nothing any more. */
import { closeSync, constants } from 'node:fs';
import { errorCode } from '../errors.ts';
import { native, type WalkBatch } from '../native/index.ts';
import { classify, readInode } from '../recall/classify.ts';
import { stubXattr } from '../stub.ts';
import type { ArchiverContext } from './context.ts';
import { pathOf } from './file-list.ts';

type RecordContext = Pick<ArchiverContext, 'filesystem' | 'locks'>;

/**
 * The rows that are stubs although they have blocks. A record on real data that is another file's, or of another content, is dropped
 * (docs/design.md "It binds to its inode") where `drop` says so, and the row's ctime follows.
 */
export function settleRecords(context: RecordContext, batch: WalkBatch, drop: boolean): ReadonlySet<number> {
  const stubs = new Set<number>();
  for (let row = 0; row < batch.count; row += 1) {
    if (batch.hasRecord[row] !== 0 && batch.blocks[row] !== 0 && isStub(context, batch, row, drop)) stubs.add(row);
  }
  return stubs;
}

/** True when in doubt: a stub is left alone. */
function isStub({ filesystem, locks }: RecordContext, batch: WalkBatch, row: number, drop: boolean): boolean {
  const ino = batch.ino[row]!;
  const unlock = locks.tryLock(ino);
  // Somebody restores it.
  if (unlock === null) return true;
  let fd: number | null = null;
  try {
    fd = native.openBeneath(filesystem.mountFd, pathOf(batch, row), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOATIME);
    const inode = readInode(fd);
    const verdict = classify(inode);
    if (verdict.kind !== 'resident' || inode.stat.ino !== ino) return true;
    if (!drop || !verdict.dropRecord) return false;
    native.removexattr(fd, stubXattr);
    batch.ctimeNs[row] = native.statx(fd, '').ctimeNs;
    return false;
  } catch (error) {
    if (errorCode(error) === 'INTERNAL') throw error;
    return true;
  } finally {
    if (fd !== null) closeSync(fd);
    unlock();
  }
}
