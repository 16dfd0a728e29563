/** A hollow file without a record: a sparse file of its owner's, or a stub that somebody took the record from. The catalogue tells. */
import type { Catalog } from '../catalog/model.ts';
import { native } from '../native/index.ts';
import { encodeStubRecord, stubXattr } from '../stub.ts';
import { readInode } from './classify.ts';

export interface LostRecord {
  /** Whether it is a stub, with its record again. */
  readonly isStub: boolean;
  /** The record was written again just now. */
  readonly rewritten: boolean;
}

/** `fd`: of the file; accesses through it raise no events. `filesystem`: its id in the catalogue, if it is on a managed one. Fails when no copy of a stub is known. */
export async function findLostRecord(fd: number, filesystem: number | undefined, catalog: Pick<Catalog, 'filesByInode' | 'object'>): Promise<LostRecord> {
  const { ino } = native.statx(fd, '');
  const [row] = filesystem === undefined ? [] : await catalog.filesByInode(filesystem, [ino]);
  const object = row === undefined ? undefined : await catalog.object(row.object);
  // Another reader of it may have come this way meanwhile.
  const inode = readInode(fd);
  if (inode.bytes !== null) return { isStub: true, rewritten: false };
  const wasStub = (row?.state === 'stub' || row?.state === 'recalling') && row.handleHash === inode.handleHash && row.size === inode.stat.size && row.mtimeNs === inode.stat.mtimeNs;
  if (!wasStub || inode.range.data !== -1) return { isStub: false, rewritten: false };
  const copy = object?.copies[0];
  if (copy === undefined) throw new Error('it was a stub, and no copy of its object is known');
  const { size, mtimeNs, handleHash } = row;
  native.setxattr(fd, stubXattr, encodeStubRecord({ flags: 0, volume: copy.volume, container: copy.container, offset: copy.offset, object: row.object, size, mtimeNs, handleHash }));
  return { isStub: true, rewritten: true };
}
