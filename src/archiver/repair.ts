/** Damaged copies are replaced: the object is copied from another volume, then the damaged copy leaves the catalogue. */
import type { ContainerRow } from '../catalog/model.ts';
import type { ArchiverContext } from './context.ts';
import { ObjectCopier, type NotCopied } from './copy/object-copier.ts';
import { copyFromOthers } from './copy/other-copies.ts';

/** A copy that was read back wrong. */
export interface DamagedCopy {
  readonly container: ContainerRow;
  readonly offset: number;
}

/**
 * Resolves with the damaged copies that are replaced: their objects have a good, verified copy on another volume of the pool, or nobody
 * wants them any more (`endedBefore` as for reclaim). All are of one volume.
 */
export async function repairCopies(context: ArchiverContext, barcode: string, damaged: readonly DamagedCopy[], endedBefore: number): Promise<DamagedCopy[]> {
  const { catalog } = context;
  const pool = (await catalog.volume(barcode))?.pool ?? null;
  if (pool === null || damaged.length === 0) return [];
  const wanted: NotCopied[] = [];
  const objects = new Map<DamagedCopy, Buffer>();
  for (const copy of damaged) {
    const [member] = await catalog.copiesToKeep(copy.container.id, copy.offset - 1, 1, { endedBefore, leaving: [barcode] });
    if (member?.offset !== copy.offset) continue;
    objects.set(copy, member.object);
    if (!member.isElsewhere && !member.isExpired) wanted.push({ member, container: copy.container, reason: 'damaged' });
  }
  if (wanted.length > 0) {
    const copier = await ObjectCopier.open(context, new Map([[barcode, 'it is damaged']]), { copied: () => undefined });
    try {
      await copyFromOthers(context, copier, pool, barcode, wanted);
    } finally {
      await copier.close({ dump: !context.stopRequested() });
    }
  }
  const repaired: DamagedCopy[] = [];
  for (const [copy, object] of objects) {
    // What has expired is left to reclaim, which asks the stubs whether one names it.
    if ((await catalog.dropMovedCopies(copy.container.id, [object])) > 0) repaired.push(copy);
  }
  return repaired;
}
