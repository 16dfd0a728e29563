/** What stubs say of where their data is: records that name a volume which is to be emptied. */
import { closeSync, constants } from 'node:fs';
import type { Catalog, CopyRow, ObjectRow } from '../catalog/model.ts';
import { errorCode } from '../errors.ts';
import { native, type WalkBatch } from '../native/index.ts';
import { readInode } from '../recall/classify.ts';
import { decodeStubRecord, encodeStubRecord, stubXattr, type StubRecord } from '../stub.ts';
import type { InodeLocks } from './context.ts';
import { pathOf } from './file-list.ts';
import { trustedCopies } from './known-files.ts';

export interface StubFilesystem {
  /** Row id. */
  readonly id: number;
  readonly path: string;
  /** Directory fd inside the private mount; -1 while it is not mounted. */
  readonly mountFd: number;
  readonly locks: InodeLocks & { lock(ino: number): Promise<() => void> };
}

/** Those of `wanted` (object ids, hex) that some record names; `unknown` where not all files could be looked at. */
export async function heldByStubs(filesystems: readonly StubFilesystem[], wanted: ReadonlySet<string>): Promise<ReadonlySet<string> | 'unknown'> {
  const held = new Set<string>();
  for (const filesystem of filesystems) {
    const seen = await eachRecord(filesystem, async (records) => {
      for (const { record } of records) if (wanted.has(record.object.toString('hex'))) held.add(record.object.toString('hex'));
    });
    // A subvolume or a snapshot may have stubs that name what the file itself no longer does.
    if (!seen.isComplete || seen.hasOthers) return 'unknown';
  }
  return held;
}

export interface RewrittenRecords {
  readonly rewritten: number;
  /** By volume: stubs that name an object on it which the catalogue does not know, or has on no other volume. */
  readonly dangling: ReadonlyMap<string, number>;
  /** Why not all files could be looked at; null: they were. */
  readonly unseen: string | null;
}

/**
 * Records that name one of `volumes` name another copy of their object afterwards. The catalogue decides where data is read from; records have to be
 * right for the day when it is lost.
 */
export async function rewriteRecords(filesystems: readonly StubFilesystem[], catalog: Pick<Catalog, 'objects' | 'filesByInode'>, volumes: ReadonlySet<string>): Promise<RewrittenRecords> {
  const dangling = new Map<string, number>();
  let rewritten = 0;
  let unseen: string | null = null;
  for (const filesystem of filesystems) {
    let changed = 0;
    const { isComplete } = await eachRecord(filesystem, async (records) => {
      const named = records.filter(({ record }) => volumes.has(record.volume));
      const objects = await catalog.objects(named.map(({ record }) => record.object));
      for (const [i, { path, ino, record }] of named.entries()) {
        const copy = otherCopy(objects[i], volumes);
        if (copy !== undefined) changed += (await rewrite(filesystem, path, ino, record, copy)) ? 1 : 0;
        else if (isHollow(filesystem, path)) dangling.set(record.volume, (dangling.get(record.volume) ?? 0) + 1);
      }
    });
    // What is durable on tape must not be followed by a record that a power cut takes back.
    if (changed > 0) await native.syncfs(filesystem.mountFd);
    rewritten += changed;
    if (!isComplete) unseen ??= filesystem.mountFd < 0 ? `${filesystem.path} is not mounted: its stubs may name the volume` : `some of ${filesystem.path} could not be looked at: its stubs may name the volume`;
  }
  return { rewritten, dangling, unseen };
}

const otherCopy = (object: ObjectRow | undefined, volumes: ReadonlySet<string>): CopyRow | undefined =>
  [...trustedCopies(object), ...(object?.copies ?? [])].find(({ volume }) => !volumes.has(volume));

/** True when in doubt: a record on a file with data means nothing. */
function isHollow({ mountFd }: StubFilesystem, path: Buffer): boolean {
  let fd: number;
  try {
    fd = native.openBeneath(mountFd, path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOATIME);
  } catch (error) {
    return errorCode(error) !== 'ENOENT';
  }
  try {
    return native.dataRange(fd).data === -1;
  } finally {
    closeSync(fd);
  }
}

/** Under the inode's lock, where the inode still has that record. A recall that is under way drops it anyway. */
async function rewrite({ mountFd, locks }: StubFilesystem, path: Buffer, ino: number, record: StubRecord, copy: CopyRow): Promise<boolean> {
  const unlock = locks.tryLock(ino) ?? (await locks.lock(ino));
  let fd: number | null = null;
  try {
    fd = native.openBeneath(mountFd, path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOATIME);
    const inode = readInode(fd);
    if (inode.stat.ino !== ino || inode.bytes?.equals(encodeStubRecord(record)) !== true) return false;
    native.setxattr(fd, stubXattr, encodeStubRecord({ ...record, volume: copy.volume, container: copy.container, offset: copy.offset }));
    return true;
  } catch (error) {
    // Gone or renamed meanwhile: a record that is out of date harms nothing while there is a catalogue.
    if (errorCode(error) === 'INTERNAL') throw error;
    return false;
  } finally {
    if (fd !== null) closeSync(fd);
    unlock();
  }
}

interface FoundRecord {
  readonly path: Buffer;
  readonly ino: number;
  readonly record: StubRecord;
}

/** `isComplete`: all of the filesystem could be looked at, but for what is mounted in it and its subvolumes (`hasOthers`). */
async function eachRecord({ mountFd }: StubFilesystem, use: (records: readonly FoundRecord[]) => Promise<void>): Promise<{ readonly isComplete: boolean; readonly hasOthers: boolean }> {
  let isComplete = mountFd >= 0;
  let hasOthers = false;
  if (!isComplete) return { isComplete, hasOthers };
  const walker = native.walk(mountFd, [Buffer.alloc(0)], { threads: 2, records: 'all' });
  try {
    for (let batch = await walker.next(); batch !== null; batch = await walker.next()) {
      isComplete &&= batch.errors.length === 0;
      hasOthers ||= batch.otherFilesystems > 0;
      await use(recordsOf(batch));
      walker.release(batch);
    }
  } finally {
    walker.close();
  }
  return { isComplete, hasOthers };
}

function recordsOf(batch: WalkBatch): FoundRecord[] {
  const found: FoundRecord[] = [];
  for (let row = 0; row < batch.count; row += 1) {
    const record = batch.hasRecord[row] === 0 ? null : decodeStubRecord(batch.records.subarray(row * 64, row * 64 + 64));
    if (record !== null) found.push({ path: pathOf(batch, row), ino: batch.ino[row]!, record });
  }
  return found;
}
