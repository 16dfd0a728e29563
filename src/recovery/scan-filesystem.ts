/** A mounted filesystem against a catalogue in the making. */
import { closeSync, constants } from 'node:fs';
import type { CatalogBuilder } from '../catalog/rebuild/index.ts';
import { native, type WalkBatch } from '../native/index.ts';
import { decodeStubRecord, type StubRecord } from '../stub.ts';

export interface MountedFilesystem {
  /** Row id. */
  readonly id: number;
  readonly path: string;
  /** Directory fd inside a private mount. */
  readonly mountFd: number;
}

export interface ScanCounts {
  /** Files looked at. */
  files: number;
  stubs: number;
  /** Records that are another inode's, or damaged. */
  foreign: number;
  /** Files of the catalogue that are not there any more. */
  gone: number;
}

export interface ScanObserver {
  files(count: number): void;
  /** A stub whose object no volume has. */
  lost(path: Buffer, record: StubRecord): void;
}

/** Every stub becomes what its record says; files of the catalogue that are gone leave it, where all of the filesystem could be looked at. */
export async function scanFilesystem(builder: CatalogBuilder, filesystem: MountedFilesystem, observer: ScanObserver): Promise<ScanCounts> {
  const counts: ScanCounts = { files: 0, stubs: 0, foreign: 0, gone: 0 };
  let complete = true;
  await eachBatch(filesystem.mountFd, (batch) => {
    builder.transaction(() => {
      for (let row = 0; row < batch.count; row += 1) look(builder, filesystem, batch, row, counts, observer);
    });
    counts.files += batch.count;
    complete &&= batch.errors.length + batch.otherFilesystems === 0;
    observer.files(counts.files);
  });
  if (complete) counts.gone = builder.transaction(() => builder.scan.dropUnseen(filesystem.id));
  return counts;
}

/** Barcodes that the records on a filesystem name. */
export async function volumesOfStubs(mountFd: number): Promise<Set<string>> {
  const barcodes = new Set<string>();
  await eachBatch(mountFd, (batch) => {
    for (let row = 0; row < batch.count; row += 1) {
      const record = recordOf(batch, row);
      if (record !== null) barcodes.add(record.volume);
    }
  });
  return barcodes;
}

async function eachBatch(mountFd: number, take: (batch: WalkBatch) => void): Promise<void> {
  const walker = native.walk(mountFd, [Buffer.alloc(0)], { threads: 2, records: 'all' });
  try {
    for (let batch = await walker.next(); batch !== null; batch = await walker.next()) {
      take(batch);
      walker.release(batch);
    }
  } finally {
    walker.close();
  }
}

const recordOf = (batch: WalkBatch, row: number): StubRecord | null =>
  batch.hasRecord[row] === 1 ? decodeStubRecord(batch.records.subarray(row * 64, row * 64 + 64)) : null;

function look(builder: CatalogBuilder, { id, mountFd }: MountedFilesystem, batch: WalkBatch, row: number, counts: ScanCounts, observer: ScanObserver): void {
  const ino = batch.ino[row]!;
  const hasRecord = batch.hasRecord[row] !== 0;
  if (!hasRecord && !builder.scan.knows(id, ino)) return;
  const directory = batch.dirs[batch.dir[row]!]!;
  const name = batch.names.subarray(row === 0 ? 0 : batch.nameEnd[row - 1]!, batch.nameEnd[row]);
  const path = directory.length === 0 ? Buffer.from(name) : Buffer.concat([directory, Buffer.from('/'), name]);
  const handleHash = hashOf(mountFd, path);
  const size = batch.size[row]!;
  // What vanishes meanwhile is for the next reconcile.
  if (handleHash === null) builder.scan.saw(id, ino);
  else if (!hasRecord) builder.scan.sawFile(id, { ino, handleHash, size, mtimeNs: batch.mtimeNs[row]!, hollow: size > 0 && isHollow(mountFd, path) });
  else {
    const record = recordOf(batch, row);
    if (record === null || record.handleHash !== handleHash || record.size !== size) {
      counts.foreign += 1;
      builder.scan.saw(id, ino);
    } else if (builder.scan.sawStub(id, { ino, handleHash, size, ctimeNs: batch.ctimeNs[row]!, object: record.object, directory, name: Buffer.from(name), hasLinks: batch.nlink[row]! > 1 })) {
      counts.stubs += 1;
    } else {
      observer.lost(path, record);
    }
  }
}

function hashOf(mountFd: number, path: Buffer): number | null {
  try {
    return native.handleHash(native.fileHandle(mountFd, path));
  } catch {
    return null;
  }
}

/** Without data: blocks do not tell, for a block may hold attributes. What cannot be looked at counts as hollow, since a stub is never taken for a file. */
function isHollow(mountFd: number, path: Buffer): boolean {
  let fd: number;
  try {
    fd = native.openBeneath(mountFd, path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOATIME);
  } catch {
    return true;
  }
  try {
    return native.dataRange(fd).data === -1;
  } finally {
    closeSync(fd);
  }
}
