/** Containers that the catalogue does not know: written under a newer one, and perhaps the only copies of something. */
import type { Catalog } from '../catalog/model.ts';
import type { BlockAddress, Medium } from '../media/medium.ts';
import { tapeFiles } from '../media/tape-files.ts';

/** Where the first of them begins; null: there is none. What has no filemark was never durable. Fails where the volume cannot be read. */
export async function unknownData(medium: Medium, catalog: Pick<Catalog, 'volume' | 'containers'>): Promise<BlockAddress | null> {
  const row = await catalog.volume(medium.barcode);
  const known = new Set((await catalog.containers(medium.barcode)).map(({ startBlock }) => startBlock));
  for await (const { start, ended } of tapeFiles(medium, row?.endBlock)) if (ended && !known.has(start)) return start;
  return null;
}
