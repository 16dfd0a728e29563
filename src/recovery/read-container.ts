/** A container that no dump knows, as rows of the catalogue. */
import { readFile, rm } from 'node:fs/promises';
import type { FoundContainer, FoundMember } from '../catalog/rebuild/index.ts';
import { describeContainer } from '../media/containers.ts';
import { isCatalogueName, isTruncatedIndexName, parseIndex, tapeBlockSize, type IndexEntry } from '../media/format.ts';
import type { Medium } from '../media/medium.ts';
import type { TapeFile } from '../media/tape-files.ts';
import { extractTo } from './extract.ts';

export interface ReadContainer {
  readonly container: Omit<FoundContainer, 'filesystem'>;
  /** UUID; null where the container does not say. */
  readonly filesystem: string | null;
  /** From the index of an earlier container that was cut short. */
  readonly hashes: readonly { readonly object: Buffer; readonly sha256: Buffer }[];
}

/** `scratch`: a file that may be used and removed. */
export async function readContainer(medium: Medium, file: TapeFile, scratch: string): Promise<ReadContainer> {
  const { entries, indexed, filesystem } = await describeContainer(medium, file.start, file.blocks);
  const bytes = file.blocks * tapeBlockSize;
  const whole = entries.filter(({ kind, offset, length }) => kind === 'file' && offset + length <= bytes);
  const members = whole.filter((entry) => !isOwn(entry)).map(memberOf);
  const hashes: { object: Buffer; sha256: Buffer }[] = [];
  for (const entry of whole) {
    if (!isOwn(entry) || !isTruncatedIndexName(entry.name)) continue;
    await extractTo(scratch, medium, file.start, entry);
    for (const { object, sha256 } of parseIndex(await readFile(scratch))) if (sha256 !== null) hashes.push({ object, sha256 });
    await rm(scratch, { force: true });
  }
  const state = indexed ? 'closed' : members.length === 0 && !file.ended ? 'void' : 'truncated';
  return { container: { barcode: medium.barcode, startBlock: file.start, bytes, state, members }, filesystem, hashes };
}

/** Dumps and indexes that hsm put there itself: they are no files of a filesystem, so they have no handle. */
const isOwn = ({ name, handle }: IndexEntry): boolean => handle === null && (isCatalogueName(name) || isTruncatedIndexName(name));

const memberOf = ({ object, size, mtimeNs, sha256, offset, length, name, handle }: IndexEntry): FoundMember => ({
  object,
  size,
  mtimeNs: mtimeNs ?? 0n,
  sha256,
  offset,
  length,
  path: name,
  handle: handle === null ? null : Buffer.from(handle, 'hex'),
});
