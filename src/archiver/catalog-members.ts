/** A container's members as the catalogue lists them, to be read back long after they were written. */
import type { MemberColumns } from '../media/containers.ts';
import type { ArchiverCatalog } from './context.ts';

export interface CatalogMembers extends MemberColumns {
  /** Of the files that need them; null where none does any more. */
  readonly paths: readonly (Buffer | null)[];
  readonly filesystems: readonly (number | null)[];
}

const pageRows = 2000;

export async function membersOf(catalog: Pick<ArchiverCatalog, 'objectsOnVolume'>, barcode: string, container: number): Promise<CatalogMembers> {
  const offset: number[] = [];
  const size: number[] = [];
  const ids: Buffer[] = [];
  const hashes: Buffer[] = [];
  const paths: (Buffer | null)[] = [];
  const filesystems: (number | null)[] = [];
  for (let after = -1; ; ) {
    const page = await catalog.objectsOnVolume(barcode, { container, offset: after }, pageRows);
    const mine = page.filter(({ copy }) => copy.container === container);
    for (const { object, copy, filesystem, path } of mine) {
      offset.push(copy.offset);
      size.push(object.size);
      ids.push(object.id);
      hashes.push(object.sha256);
      paths.push(path);
      filesystems.push(filesystem);
      after = copy.offset;
    }
    if (mine.length < pageRows) break;
  }
  return {
    count: offset.length,
    offset: Float64Array.from(offset),
    size: Float64Array.from(size),
    objectIds: Buffer.concat(ids),
    sha256: Buffer.concat(hashes),
    paths,
    filesystems,
  };
}
