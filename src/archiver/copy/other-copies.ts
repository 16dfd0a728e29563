/** Copies objects from wherever else they are, when they could not be read in one place. */
import type { ContainerRow, CopyToKeep } from '../../catalog/model.ts';
import type { ArchiverContext } from '../context.ts';
import { trustedCopies } from '../known-files.ts';
import type { NotCopied, ObjectCopier } from './object-copier.ts';

/** To `pool`, a volume after the other, but for `notFrom`. Resolves with those of which no copy could be read. */
export async function copyFromOthers(context: Pick<ArchiverContext, 'catalog' | 'stopRequested'>, copier: ObjectCopier, pool: string, notFrom: string, failed: readonly NotCopied[]): Promise<NotCopied[]> {
  const { catalog } = context;
  let left = [...failed];
  const tried = new Set([notFrom]);
  while (left.length > 0 && !context.stopRequested()) {
    const objects = await catalog.objects(left.map(({ member }) => member.object));
    const next = objects.map((object) => trustedCopies(object).find(({ volume, volumeState }) => !tried.has(volume) && volumeState !== 'exported'));
    const volume = next.find((copy) => copy !== undefined)?.volume;
    if (volume === undefined) break;
    tried.add(volume);
    const containers = new Map((await catalog.containers(volume)).map((container) => [container.number, container]));
    const wanted = new Map<number, { container: ContainerRow; members: CopyToKeep[] }>();
    for (const [i, copy] of next.entries()) {
      const container = copy?.volume === volume ? containers.get(copy.container) : undefined;
      if (copy === undefined || container === undefined) continue;
      const group = wanted.get(container.id) ?? { container, members: [] };
      group.members.push({ ...left[i]!.member, offset: copy.offset, length: copy.length });
      wanted.set(container.id, group);
    }
    const groups = [...wanted.values()].sort((a, b) => a.container.startBlock - b.container.startBlock);
    for (const { members } of groups) members.sort((a, b) => a.offset - b.offset);
    const again = new Set((await copier.copy(volume, pool, groups)).map(({ member }) => member.object.toString('hex')));
    left = left.filter((each, i) => next[i]?.volume !== volume || again.has(each.member.object.toString('hex')));
  }
  return left;
}
