/** Which filesystem of the catalogue is mounted at a path: it is known by its UUID, for disks are replaced and paths stay. */
import type { Catalog, FilesystemRow } from '../catalog/model.ts';
import { filesystemId, mountOf, mounts, type Mount } from '../mounts.ts';

/**
 * Another filesystem at the place of one that the catalogue knows gets a row of its own, so that inode numbers mean nothing from one to the
 * other; the old one's files stay, for `hsm restore-tree` or until it is back. Undefined where neither path nor UUID is known.
 */
export async function filesystemAt(catalog: Pick<Catalog, 'filesystems' | 'addFilesystem'>, path: string, mount: Mount | undefined = mountOf(path, mounts())): Promise<FilesystemRow | undefined> {
  const rows = await catalog.filesystems();
  const row = rows.find((each) => each.path === path);
  if (mount?.path !== path) return row;
  const uuid = filesystemId(mount);
  if (row?.uuid === uuid) return row;
  const isKnown = rows.some((each) => each.uuid === uuid);
  if (row === undefined && !isKnown) return undefined;
  // Where there is no UUID, the id follows the device's name: then only the path tells.
  if (row !== undefined && !(isUuid(row.uuid) && isUuid(uuid))) return row;
  return catalog.addFilesystem({ path, type: mount.type, uuid });
}

/** What is mounted at the path of a filesystem has another UUID. */
export function isAnother({ path, uuid }: { readonly path: string; readonly uuid: string }, mount: Mount | undefined = mountOf(path, mounts())): boolean {
  if (mount?.path !== path || !isUuid(uuid)) return false;
  const seen = filesystemId(mount);
  return isUuid(seen) && seen !== uuid;
}

const isUuid = (id: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id);
