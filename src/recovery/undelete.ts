/** `hsm undelete`: an old version of a file becomes a file again, as a stub under a name that is free. */
import type { Catalog, CopyRow, ObjectRow } from '../catalog/model.ts';
import { trustedCopies } from '../archiver/known-files.ts';
import { HsmError, refusal } from '../errors.ts';
import type { DrivePool } from '../library/drive-pool.ts';
import { readMemberHeader } from '../media/containers.ts';
import { parseMetadata, type MemberMetadata } from '../media/member-metadata.ts';
import { TreeMaker, type MadeOutcome, type MadeTarget } from './tree-maker.ts';

export interface UndeleteContext {
  readonly catalog: Pick<Catalog, 'object' | 'ownerOf' | 'adoptStubs' | 'filesByInode'>;
  readonly drives: Pick<DrivePool, 'withVolume'>;
  readonly target: MadeTarget;
}

export interface UndeleteRequest {
  readonly object: Buffer;
  /** Relative to the root of the target. */
  readonly path: Buffer;
}

/**
 * Resolves with what the file lacks of its attributes, or null. Fails with `REFUSED` where something has the name or the object is a file's
 * present version, `EIO` when no copy's header could be read.
 */
export async function undelete({ catalog, drives, target }: UndeleteContext, { object: id, path }: UndeleteRequest): Promise<{ readonly object: ObjectRow; readonly incomplete: string | null }> {
  const object = await catalog.object(id);
  if (object === undefined) throw new HsmError('ENOENT', `the catalogue has no object ${id.toString('hex')}`);
  if ((await catalog.ownerOf(id)) !== undefined) throw refusal(`object ${id.toString('hex')} is a file's present version: copy that file`);
  const { copy, metadata } = await headerOf(drives, object);
  let outcome: MadeOutcome = 'failed';
  let reason: string | null = null;
  const maker = new TreeMaker(target, catalog, { stub: (_, how, why) => ([outcome, reason] = [how, why]), link: () => undefined });
  const { size, mtimeNs } = object;
  await maker.make([{ path, metadata, object: id, size, mtimeNs, volume: copy.volume, container: copy.container, offset: copy.offset }]);
  const made = outcome as MadeOutcome;
  if (made === 'exists') throw refusal(`something is at ${path.toString()} already: choose another place with --into`);
  if (made === 'failed') throw new HsmError('EIO', `${path.toString()} could not be made: ${reason ?? 'unknown'}`);
  return { object, incomplete: made === 'incomplete' ? reason : null };
}

async function headerOf(drives: UndeleteContext['drives'], object: ObjectRow): Promise<{ copy: CopyRow; metadata: MemberMetadata }> {
  let failure = 'the catalogue has no copy of it that can be read';
  for (const copy of trustedCopies(object)) {
    if (copy.volumeState === 'exported') {
      failure = `${copy.volume} is on the shelf: put it in, then hsm tape import ${copy.volume}`;
      continue;
    }
    try {
      const found = await drives.withVolume(copy.volume, 'read', 'bulk', (medium) => readMemberHeader(medium, copy.startBlock, copy.offset));
      if (found?.member.object?.equals(object.id) === true && found.member.intact) return { copy, metadata: parseMetadata(found.header) };
      failure = `its header on ${copy.volume} is damaged`;
    } catch (error) {
      failure = (error as Error).message;
    }
  }
  throw new HsmError('EIO', failure, { retry: 'later' });
}
