/** What the catalogue knows about files, as `hsm ls` needs it. */
import type { Catalog, FileRow, ObjectRow } from '../catalog/model.ts';
import type { FileInfo } from './protocol.ts';

/** One element per inode; null for a file that the catalogue does not know. */
export async function fileInfos(catalog: Pick<Catalog, 'filesByInode' | 'objects'>, filesystem: number, inos: readonly number[]): Promise<(FileInfo | null)[]> {
  const rows = await catalog.filesByInode(filesystem, inos);
  const known = rows.filter((row) => row !== undefined);
  const objects = await catalog.objects(known.map(({ object }) => object));
  const byId = new Map(objects.flatMap((object) => (object === undefined ? [] : [[object.id.toString('hex'), object]])));
  return rows.map((row) => (row === undefined ? null : fileInfo(row, byId.get(row.object.toString('hex')))));
}

const fileInfo = (row: FileRow, object: ObjectRow | undefined): FileInfo => ({
  state: row.state,
  size: row.size,
  mtimeNs: String(row.mtimeNs),
  object: row.object.toString('hex'),
  copies: (object?.copies ?? []).map(({ volume, container, offset, pool }) => ({ volume, container, offset, pool })),
});
