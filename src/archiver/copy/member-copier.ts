/** Puts members that are on tape already together into a new container, byte for byte: only the index is new. */
import type { ContainerRow, CopyToKeep } from '../../catalog/model.ts';
import { readContainer, readIndexEnd } from '../../media/containers.ts';
import { tapeBlockSize } from '../../media/format.ts';
import { endLine, fileLine, indexMember, linkLine, voidLine } from '../../media/index-member.ts';
import { MemberWalk, type Member } from '../../media/member-walk.ts';
import type { Medium } from '../../media/medium.ts';
import { extractStatus, native, type Extractor, type PackedBlock } from '../../native/index.ts';
import { BlockQueue } from './block-queue.ts';
import { CopyRows } from './copy-rows.ts';

export type MemberToCopy = Pick<CopyToKeep, 'object' | 'size' | 'mtimeNs' | 'sha256' | 'offset' | 'length'>;

/** Members of one container, by ascending offset. */
export interface CopySource {
  readonly container: Pick<ContainerRow, 'volume' | 'number' | 'startBlock' | 'bytes' | 'state'>;
  /** UUID that counts where the container itself does not tell. */
  readonly filesystem: string | null;
  readonly members: readonly MemberToCopy[];
}

type Reader = Pick<Medium, 'position' | 'locate' | 'readBlock'>;

/** A member whose payload is being copied. */
interface Open {
  readonly row: number;
  readonly member: Member;
  /** In the source, of the next byte; and of the first that is not its own. */
  position: number;
  readonly end: number;
  /** Of its line. */
  readonly line: number;
  readonly offset: number;
}

/** What is to be put into the new container next: bytes, or the news that a member of it is whole. */
type Step = { readonly bytes: Buffer } | { readonly begin: Member; readonly row: number } | { readonly link: Member; readonly header: Buffer } | { readonly ended: true };

/**
 * Blocks of one new container with the members of all `sources`, which are on the volume in the drive; further names (links) of these members
 * come along. Ends before a source that is of another filesystem than those before it. Every member is compared with its hash on the way:
 * one that is not right is void in the new container, or not in it, and in `damaged`. Members are numbered over all sources.
 */
export class MemberCopier {
  /** By row: `bad-hash`, `wrong-member` or `truncated`. */
  readonly damaged = new Map<number, string>();
  /** Sources that were read to their end, the first ones. */
  done = 0;
  readonly #medium: Reader;
  readonly #sources: readonly CopySource[];
  readonly #now: () => Date;
  readonly #careful: boolean;
  readonly #queue = new BlockQueue(tapeBlockSize);
  readonly #rows = new CopyRows();
  readonly #abort = new AbortController();
  readonly #lines: string[] = [];
  readonly #lineOfRow = new Map<number, number>();
  readonly #pump: Promise<void>;
  #filesystem: string | null = null;
  #firstObject: Buffer | null = null;
  /** Bytes put into the new container. */
  #length = 0;

  /** `careful`: nothing is read but what is wanted; links stay behind. */
  constructor(medium: Reader, sources: readonly CopySource[], now: () => Date, careful = false) {
    this.#medium = medium;
    this.#careful = careful;
    this.#sources = sources;
    this.#now = now;
    this.#pump = this.#run().catch((error: unknown) => this.#queue.fail(error));
  }

  /** As the packer's. Fails with what reading the source failed with. */
  next(): Promise<PackedBlock> {
    return this.#queue.next();
  }

  release(block: Buffer): void {
    this.#queue.release(block);
  }

  /** Ends the reading; next() must not be called any more. */
  async abort(): Promise<void> {
    this.#abort.abort();
    this.#queue.close();
    await this.#pump;
  }

  /** Of a row that is in the container: its line of the index. */
  lineOf(row: number): string {
    return this.#lines[this.#lineOfRow.get(row) ?? -1] ?? '';
  }

  async #run(): Promise<void> {
    let firstRow = 0;
    for (const source of this.#sources) {
      const filesystem = (await this.#filesystemOf(source)) ?? source.filesystem;
      if (this.done > 0 && filesystem !== this.#filesystem) break;
      this.#filesystem = filesystem;
      await this.#copy(source, firstRow);
      if (this.#abort.signal.aborted) return;
      firstRow += source.members.length;
      this.done += 1;
    }
    await this.#end();
  }

  async #filesystemOf({ container }: CopySource): Promise<string | null> {
    if (container.state !== 'closed') return null;
    // Should the volume not be readable at all, its members will tell.
    const end = await readIndexEnd(this.#medium, container.startBlock, container.bytes / tapeBlockSize).catch(() => null);
    return end?.filesystem ?? null;
  }

  async #copy(source: CopySource, firstRow: number): Promise<void> {
    const scan = new SourceScan(source.members, firstRow, this.#careful);
    const extractor: Extractor = new native.Extractor(
      source.members.map(({ object, size, sha256, offset }) => ({ offset, objectId: object, size, sha256, fd: -1, record: null })),
    );
    const status = new Map<number, number>();
    let open: Open | null = null;
    const take = async (offset: number, data: Buffer): Promise<void> => {
      for (const { target, status: how } of await extractor.feed(offset, data)) status.set(firstRow + target, how);
      for (const step of scan.steps(offset, data)) {
        if ('bytes' in step) await this.#append(step.bytes);
        else if ('link' in step) await this.#link(step.link, step.header);
        else if ('begin' in step) open = this.#begin(step.begin, step.row, source.members[step.row - firstRow]!);
        else if (open !== null) open = this.#ended(open, status.get(open.row));
      }
    };
    await readContainer(this.#medium, source.container.startBlock, { needs: () => scan.needs, take, signal: this.#abort.signal });
    if (this.#abort.signal.aborted) return;
    // The source ended too early: what its header announced must come all the same.
    for (let left = scan.left; left > 0; left -= Math.min(left, tapeBlockSize)) await this.#append(Buffer.alloc(Math.min(left, tapeBlockSize)));
    if (open !== null) this.#ended(open, extractStatus.truncated);
    for (const row of scan.missing()) this.damaged.set(row, reasonOf(status.get(row) ?? extractStatus.truncated));
  }

  #begin(member: Member, row: number, wanted: MemberToCopy): Open {
    const place = { offset: this.#length, length: wanted.length };
    const line = this.#lines.push(fileLine(member, place, wanted.object, wanted.sha256)) - 1;
    this.#lineOfRow.set(row, line);
    this.#firstObject ??= wanted.object;
    this.#rows.begin(row, { ...wanted, ...place, headerLength: member.headerLength });
    return { row, member, position: 0, end: 0, line, offset: this.#length };
  }

  #ended({ row, member, line, offset }: Open, status: number | undefined): null {
    const isRight = status === extractStatus.restored;
    if (!isRight) {
      const reason = reasonOf(status ?? extractStatus.wrongMember);
      this.damaged.set(row, reason);
      this.#lines[line] = voidLine(member, { offset, length: this.#length - offset }, member.object ?? Buffer.alloc(16), reason);
    }
    this.#rows.end(row, isRight);
    return null;
  }

  async #link(member: Member, header: Buffer): Promise<void> {
    const place = { offset: this.#length, length: header.length };
    this.#lines.push(linkLine(member, place, member.object ?? Buffer.alloc(16)));
    await this.#append(header);
  }

  async #end(): Promise<void> {
    if (this.#firstObject !== null) {
      const payload = Buffer.from(this.#lines.join('') + endLine(this.#length, this.#lines.length, this.#filesystem));
      await this.#append(indexMember(this.#firstObject, payload, this.#now()));
      const zeros = 1024 + ((tapeBlockSize - ((this.#length + 1024) % tapeBlockSize)) % tapeBlockSize);
      await this.#append(Buffer.alloc(zeros));
    }
    await this.#queue.end(() => this.#rows.take());
  }

  async #append(bytes: Buffer): Promise<void> {
    this.#length += bytes.length;
    await this.#queue.append(bytes, () => this.#rows.take());
  }
}

const reasons: Readonly<Record<number, string>> = {
  [extractStatus.badHash]: 'bad-hash',
  [extractStatus.wrongMember]: 'wrong-member',
  [extractStatus.truncated]: 'truncated',
};

const reasonOf = (status: number): string => reasons[status] ?? `status ${status}`;

/** Finds the members of one source, and links to them, in its blocks. */
class SourceScan {
  /** Bytes that the member at hand still lacks. */
  left = 0;
  readonly #members: readonly MemberToCopy[];
  readonly #firstRow: number;
  readonly #careful: boolean;
  readonly #copied = new Set<string>();
  readonly #missing: number[] = [];
  /** Of the next member whose header was not found yet. */
  #next = 0;
  #walk: MemberWalk | null = null;
  #restartedAt = -1;
  /** In the source, of the next byte of the member at hand. */
  #position = 0;
  #steps: Step[] = [];
  #block: { offset: number; data: Buffer } = { offset: 0, data: Buffer.alloc(0) };

  constructor(members: readonly MemberToCopy[], firstRow: number, careful: boolean) {
    this.#members = members;
    this.#firstRow = firstRow;
    this.#careful = careful;
    this.#restart();
  }

  /** First byte of the source that is of use; -1: none any more. */
  get needs(): number {
    const walking = this.#walk?.state === 'walking' ? this.#walk.position : -1;
    if (this.left > 0) return walking < 0 ? this.#position : Math.min(this.#position, walking);
    return walking;
  }

  steps(offset: number, data: Buffer): Step[] {
    this.#steps = [];
    this.#block = { offset, data };
    while (this.#walk !== null) {
      this.#walk.feed(offset, data);
      if (this.#walk.state === 'walking') break;
      this.#restart();
    }
    this.#flush();
    if (this.#careful && this.left === 0) this.#skipToNext();
    return this.#steps;
  }

  /** Rows that were not found. */
  missing(): number[] {
    return [...this.#missing, ...Array.from(this.#members.keys()).slice(this.#next)].map((index) => this.#firstRow + index);
  }

  #skipToNext(): void {
    const next = this.#members[this.#next];
    if (next === undefined) this.#walk = null;
    else if (this.#walk !== null && this.#walk.position < next.offset) this.#restart();
  }

  /** From the next member that is wanted: where the walk lost its way, the catalogue knows where members are. One that is lost again is damaged. */
  #restart(): void {
    let next = this.#members[this.#next];
    if (next !== undefined && next.offset === this.#restartedAt) {
      this.#missing.push(this.#next);
      this.#next += 1;
      next = this.#members[this.#next];
    }
    this.#restartedAt = next?.offset ?? -1;
    this.#walk = next === undefined ? null : new MemberWalk(next.offset, (member, header) => this.#found(member, header));
  }

  #found(member: Member, header: Buffer): void {
    this.#flush();
    for (; (this.#members[this.#next]?.offset ?? Infinity) < member.offset; this.#next += 1) this.#missing.push(this.#next);
    const wanted = this.#members[this.#next];
    if (wanted?.offset === member.offset) {
      this.#next += 1;
      if (isIt(member, wanted)) this.#begin(member, header, wanted);
      else this.#missing.push(this.#next - 1);
    } else if (member.type === '1' && member.intact && member.object !== null && this.#copied.has(member.object.toString('hex'))) {
      this.#steps.push({ link: member, header: Buffer.from(header) });
    }
  }

  #begin(member: Member, header: Buffer, wanted: MemberToCopy): void {
    this.#copied.add(wanted.object.toString('hex'));
    this.#steps.push({ begin: member, row: this.#firstRow + this.#next - 1 }, { bytes: Buffer.from(header) });
    this.#position = member.offset + member.headerLength;
    this.left = wanted.length - member.headerLength;
    if (this.left === 0) this.#steps.push({ ended: true });
  }

  /** What the block at hand has of the member at hand. */
  #flush(): void {
    const { offset, data } = this.#block;
    if (this.left === 0 || this.#position < offset || this.#position >= offset + data.length) return;
    const bytes = data.subarray(this.#position - offset, Math.min(data.length, this.#position - offset + this.left));
    this.#steps.push({ bytes });
    this.#position += bytes.length;
    this.left -= bytes.length;
    if (this.left === 0) this.#steps.push({ ended: true });
  }
}

const isIt = ({ type, intact, object, size, headerLength, payload }: Member, wanted: MemberToCopy): boolean =>
  type === '0' && intact && object?.equals(wanted.object) === true && size === wanted.size && headerLength + Math.ceil(payload / 512) * 512 === wanted.length;
