/** Reads containers from a loaded volume: members back into files, whole containers for verification, indexes. */
import { HsmError } from '../errors.ts';
import { extractStatus, native, type ExtractResult, type ExtractTarget } from '../native/index.ts';
import { newSerial, parseIndex, parseIndexEnd, parseVolumeLabel, tapeBlockSize, volumeHeader, type IndexEnd, type IndexEntry, type VolumeLabel } from './format.ts';
import type { BlockAddress, Medium } from './medium.ts';
import { MemberWalk, type Member } from './member-walk.ts';

type Reader = Pick<Medium, 'position' | 'locate' | 'readBlock'>;

/** Where container 1 of a labelled volume begins: after label, page and filemark. */
export const firstContainerAddress: BlockAddress = 3;

/** Makes the volume an empty one of hsm. Everything on it is lost: callers know that nothing is needed. Durable when it resolves, with the label's serial. */
export async function labelVolume(medium: Medium): Promise<string> {
  const serial = newSerial();
  await medium.rewind();
  for (const block of volumeHeader(medium.barcode, serial)) await medium.writeBlock(block);
  await medium.writeFilemark({ sync: true });
  return serial;
}

/** The barcode in the volume's label, `'blank'` for an empty volume, null for somebody else's. Leaves the position after the label. */
export async function readVolumeLabel(medium: Pick<Medium, 'rewind' | 'readBlock'>): Promise<string | null> {
  const label = await readLabel(medium);
  return label === null || label === 'blank' ? label : label.barcode;
}

/** As readVolumeLabel(), with all that the label says. */
export async function readLabel(medium: Pick<Medium, 'rewind' | 'readBlock'>): Promise<VolumeLabel | 'blank' | null> {
  await medium.rewind();
  let block: Buffer | 'filemark' | 'end';
  try {
    block = await medium.readBlock(Buffer.allocUnsafe(4096));
  } catch (error) {
    if (error instanceof HsmError && error.code === 'ENOMEM') return null;
    throw error;
  }
  if (block === 'end') return 'blank';
  return block === 'filemark' ? null : parseVolumeLabel(block);
}

/** Fails with `WRONG_VOLUME` unless the label names the cartridge that was asked for, and has that serial (null: any). */
export async function checkVolumeLabel(medium: Pick<Medium, 'rewind' | 'readBlock' | 'barcode'>, serial: string | null = null): Promise<void> {
  const found = await readLabel(medium);
  if (found !== null && found !== 'blank' && found.barcode === medium.barcode) {
    if (serial === null || found.serial === serial) return;
    throw new HsmError('WRONG_VOLUME', `cartridge ${medium.barcode} was labelled anew and holds nothing that the catalogue says: the catalogue is older than the volume`, { retry: 'other-copy' });
  }
  const what = found === null ? 'has no label of hsm' : found === 'blank' ? 'is blank' : `is labelled ${found.barcode}`;
  throw new HsmError('WRONG_VOLUME', `cartridge ${medium.barcode} ${what}`, { retry: 'other-copy' });
}

export interface ExtractOptions {
  /** Called as targets end, in tape order. */
  readonly onEnded?: (results: readonly ExtractResult[]) => void;
  /** Stops before the next block; the targets that are left end as `truncated`. */
  readonly signal?: AbortSignal;
}

/**
 * Reads members of the container that begins at `start` into their targets; resolves with the status of each, in the order of
 * `targets`. Blocks that no target needs are located over. A medium's error rejects, after the block under way is through;
 * targets that were not reported to `onEnded` by then are unfinished.
 */
export async function extractMembers(
  medium: Reader,
  start: BlockAddress,
  targets: readonly ExtractTarget[],
  options: ExtractOptions = {},
): Promise<Int32Array> {
  const extractor = new native.Extractor(targets);
  const status = new Int32Array(targets.length).fill(extractStatus.truncated);
  const ended = (results: readonly ExtractResult[]): void => {
    for (const { target, status: how } of results) status[target] = how;
    if (results.length > 0) options.onEnded?.(results);
  };
  await readContainer(medium, start, {
    needs: () => extractor.needs,
    take: async (offset, data) => ended(await extractor.feed(offset, data)),
    signal: options.signal,
  });
  ended(extractor.finish());
  return status;
}

/** Members of a container as the catalogue or the packer lists them; row i of every array. */
export interface MemberColumns {
  readonly count: number;
  readonly offset: Float64Array;
  readonly size: Float64Array;
  /** 16 bytes a row. */
  readonly objectIds: Buffer;
  /** 32 bytes a row. */
  readonly sha256: Buffer;
}

export interface Verdict {
  /** Rows whose member is missing, another's, or of a wrong hash, with `extractStatus`. */
  readonly damaged: readonly { readonly row: number; readonly status: number }[];
  /** The index was found with the right hash, and the archive ends as it should. */
  readonly index: boolean;
  /** Blocks up to the filemark. */
  readonly blocks: number;
}

/** Reads a whole container back and compares every member's hash, and the index's. */
export async function verifyContainer(medium: Reader, start: BlockAddress, members: MemberColumns, signal?: AbortSignal): Promise<Verdict> {
  const targets = verifyTargets(members);
  const extractor = new native.Extractor(targets);
  const walk = new MemberWalk(Math.max(0, ...lastMembers(members)));
  const damaged: { row: number; status: number }[] = [];
  const ended = (results: readonly ExtractResult[]): void => {
    for (const { target, status } of results) if (status !== extractStatus.restored) damaged.push({ row: target, status });
  };
  const { blocks, complete } = await readContainer(medium, start, {
    needs: () => 0,
    take: async (offset, data) => {
      walk.feed(offset, data);
      ended(await extractor.feed(offset, data));
    },
    signal,
  });
  ended(extractor.finish());
  return { damaged, index: complete && walk.state === 'end' && walk.index?.intact === true, blocks };
}

/** Every good member and every void one of the container at `start` which is `blocks` long, filemark not counted. */
export async function readIndex(medium: Reader, start: BlockAddress, blocks: number): Promise<IndexEntry[]> {
  return (await describeContainer(medium, start, blocks)).entries;
}

export interface ContainerContents {
  /** As `readIndex` has them, or `walkMembers` where there is no index. */
  readonly entries: IndexEntry[];
  readonly indexed: boolean;
  /** UUID of the filesystem that its files are from, where the index says so. */
  readonly filesystem: string | null;
}

/** The contents of the container at `start` which is `blocks` long, filemark not counted, and how far they can be trusted. */
export async function describeContainer(medium: Reader, start: BlockAddress, blocks: number): Promise<ContainerContents> {
  const end = await readIndexEnd(medium, start, blocks);
  const entries = end === null ? null : await readIndexAfter(medium, start, end.offset);
  return { entries: entries ?? (await walkMembers(medium, start)), indexed: entries !== null, filesystem: end?.filesystem ?? null };
}

/**
 * The index of a container of which only a member's place is known, as when the catalogue is lost: from the header at `offset` on,
 * members are passed over until the index comes. Null when there is none, or it is damaged.
 */
export async function readIndexAfter(medium: Reader, start: BlockAddress, offset: number): Promise<IndexEntry[] | null> {
  const walk = new MemberWalk(offset);
  await feedWalk(medium, start, walk);
  return walk.index?.intact === true ? parseIndex(walk.index.payload) : null;
}

/**
 * What the headers tell, for a container whose index cannot be read. A large file's hash is in the index alone, and which members
 * are void too: an entry without `sha256` cannot be trusted to be good. Neither can one whose header is damaged: it has none here.
 */
export async function walkMembers(medium: Reader, start: BlockAddress): Promise<IndexEntry[]> {
  const entries: IndexEntry[] = [];
  const walk = new MemberWalk(0, (member) => {
    if (member.object !== null) entries.push(entryOf(member, member.object));
  });
  await feedWalk(medium, start, walk);
  return entries;
}

/**
 * Calls `found` with every member's header, its raw bytes included, from `offset` on, and waits for `between` after each block; the index is
 * a member too. Resolves false where the walk lost its way, or the container ended before its archive.
 */
export async function walkHeaders(
  medium: Reader,
  start: BlockAddress,
  offset: number,
  found: (member: Member, header: Buffer) => void,
  between: () => Promise<void> = async () => undefined,
): Promise<boolean> {
  const walk = new MemberWalk(offset, found);
  await readContainer(medium, start, {
    needs: () => (walk.state === 'walking' ? walk.position : -1),
    take: async (at, data) => {
      walk.feed(at, data);
      await between();
    },
  });
  return walk.state === 'end';
}

/** The member whose header begins at `offset`; null where there is none. */
export async function readMember(medium: Reader, start: BlockAddress, offset: number): Promise<Member | null> {
  return (await readMemberHeader(medium, start, offset))?.member ?? null;
}

/** As readMember(), with the raw bytes of the header. */
export async function readMemberHeader(medium: Reader, start: BlockAddress, offset: number): Promise<{ readonly member: Member; readonly header: Buffer } | null> {
  const found: { member: Member; header: Buffer }[] = [];
  const walk = new MemberWalk(offset, (member, header) => {
    if (found.length === 0) found.push({ member, header: Buffer.from(header) });
  });
  await readContainer(medium, start, { needs: () => (found.length === 0 && walk.state === 'walking' ? walk.position : -1), take: async (at, data) => walk.feed(at, data) });
  return found[0] ?? null;
}

const feedWalk = (medium: Reader, start: BlockAddress, walk: MemberWalk): Promise<unknown> =>
  readContainer(medium, start, { needs: () => (walk.state === 'walking' ? walk.position : -1), take: async (offset, data) => walk.feed(offset, data) });

const entryOf = (member: Member, object: Buffer): IndexEntry => ({
  kind: member.type === '1' ? 'link' : 'file',
  name: member.name,
  offset: member.offset,
  length: member.headerLength + Math.ceil(member.payload / 512) * 512,
  headerLength: member.headerLength,
  size: member.size,
  object,
  sha256: member.intact ? member.sha256 : null,
  mtimeNs: member.type === '1' ? null : member.mtimeNs,
  handle: member.handle === '' ? null : member.handle,
  link: member.type === '1' ? member.link : null,
  reason: null,
});

function verifyTargets({ count, offset, size, objectIds, sha256 }: MemberColumns): ExtractTarget[] {
  return Array.from({ length: count }, (_, row) => ({
    offset: offset[row] ?? 0,
    objectId: objectIds.subarray(row * 16, row * 16 + 16),
    size: size[row] ?? 0,
    sha256: sha256.subarray(row * 32, row * 32 + 32),
    fd: -1,
    record: null,
  }));
}

/** Offset of the member that lies last: the index follows it, perhaps after some void ones. */
function lastMembers({ count, offset }: MemberColumns): number[] {
  let last = 0;
  for (let row = 0; row < count; row += 1) last = Math.max(last, offset[row] ?? 0);
  return [last];
}

/** Where the index of a container begins, from its last two blocks; null where it has none. */
export async function readIndexEnd(medium: Reader, start: BlockAddress, blocks: number): Promise<IndexEnd | null> {
  const tail: Buffer[] = [];
  const from = Math.max(0, blocks - 2);
  await medium.locate(start + from);
  for (let block = from; block < blocks; block += 1) {
    const data = await medium.readBlock(Buffer.allocUnsafeSlow(tapeBlockSize));
    if (typeof data === 'string') return null;
    tail.push(data);
  }
  return parseIndexEnd(Buffer.concat(tail));
}

export interface Sink {
  /** First offset that is still wanted; -1 ends the reading. */
  needs(): number;
  take(offset: number, data: Buffer): Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/** Blocks that are read and thrown away rather than located over. */
const readThrough = 4;

/** Gives the wanted blocks to `sink`, reading the next while it works on the last. `complete`: the filemark was reached. */
export async function readContainer(medium: Reader, start: BlockAddress, sink: Sink): Promise<{ blocks: number; complete: boolean }> {
  const buffers = [Buffer.allocUnsafeSlow(tapeBlockSize), Buffer.allocUnsafeSlow(tapeBlockSize)] as const;
  let taking: Promise<void> = Promise.resolve();
  let next = -1;
  let turn = 0;
  try {
    for (;;) {
      // What is wanted is known for sure only when the last block has been taken; within one run the next block is fetched meanwhile.
      if (next < 0 || !likely(sink.needs(), next)) {
        await taking;
        const needs = sink.needs();
        if (needs < 0) return { blocks: next, complete: false };
        const wanted = Math.floor(needs / tapeBlockSize);
        if (next < 0 || wanted > next + readThrough) {
          next = wanted;
          if ((await medium.position()) !== start + next) await medium.locate(start + next);
        }
      }
      if (sink.signal?.aborted === true) return { blocks: next, complete: false };
      const reading = medium.readBlock(buffers[turn % 2 === 0 ? 0 : 1]);
      turn += 1;
      // A block that was read ahead in vain may fail.
      reading.catch(() => undefined);
      await taking;
      if (sink.needs() < 0) {
        await reading.catch(() => undefined);
        return { blocks: next, complete: false };
      }
      const data = await reading;
      if (typeof data === 'string') return { blocks: next, complete: data === 'filemark' };
      const offset = next * tapeBlockSize;
      taking = sink.take(offset, data);
      // Should the next read fail first, this rejection is reported by the await below.
      taking.catch(() => undefined);
      next += 1;
    }
  } finally {
    await taking;
  }
}

/** While block `next - 1` is worked on, `needs` still points into it at the earliest: then the run most likely goes on. */
const likely = (needs: number, next: number): boolean => needs >= 0 && Math.floor(needs / tapeBlockSize) <= next;
