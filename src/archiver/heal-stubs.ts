/** Stubs that the catalogue still has as archived: a crash came between an eviction and its row. */
import type { FileRow } from '../catalog/model.ts';
import { errorCode } from '../errors.ts';
import type { Native, WalkBatch } from '../native/index.ts';
import { decodeStubRecord } from '../stub.ts';
import type { ArchiverContext } from './context.ts';
import { pathOf } from './file-list.ts';

type HealContext = Pick<ArchiverContext, 'catalog' | 'filesystem' | 'locks'> & { readonly native: Pick<Native, 'statx'> };

/** Moves the rows of a batch's stubs, `stubs` and hollow files, to 'stub' where their record names the object that the catalogue has for them. */
export async function healStubs(context: HealContext, batch: WalkBatch, stubs: ReadonlySet<number>): Promise<void> {
  const { catalog, filesystem } = context;
  const rows: number[] = [];
  for (let row = 0; row < batch.count; row += 1) if (batch.hasRecord[row] === 1 && (batch.blocks[row] === 0 || stubs.has(row))) rows.push(row);
  if (rows.length === 0) return;
  const files = await catalog.filesByInode(
    filesystem.row.id,
    rows.map((row) => batch.ino[row]!),
  );
  for (const [i, row] of rows.entries()) if (files[i]?.state === 'archived' && isRecordOf(batch, row, files[i])) await healOne(context, batch, row);
}

function isRecordOf(batch: WalkBatch, row: number, file: FileRow): boolean {
  const record = decodeStubRecord(batch.records.subarray(row * 64, row * 64 + 64));
  return record !== null && record.object.equals(file.object) && record.size === file.size && record.handleHash === file.handleHash && batch.size[row] === file.size;
}

/** Under the inode's lock nobody is about to move the row, and what the walk saw is checked again. */
async function healOne({ catalog, filesystem, locks, native }: HealContext, batch: WalkBatch, row: number): Promise<void> {
  const ino = batch.ino[row]!;
  const unlock = locks.tryLock(ino);
  if (unlock === null) return;
  try {
    const stat = native.statx(filesystem.mountFd, pathOf(batch, row));
    const [file] = await catalog.filesByInode(filesystem.row.id, [ino]);
    const isAsSeen = stat.ino === ino && stat.ctimeNs === batch.ctimeNs[row] && stat.blocks === batch.blocks[row];
    if (isAsSeen && file?.state === 'archived') await catalog.moveFiles(filesystem.row.id, [{ ino, to: 'stub', ctimeNs: stat.ctimeNs }]);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  } finally {
    unlock();
  }
}
