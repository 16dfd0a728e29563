/** Writes one container to a folder of an LTFS volume: its files as files, all else of the archive beside them. */
import { mkdir, open, rm, utimes, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode, HsmError } from '../../errors.ts';
import { native } from '../../native/index.ts';
import { isIndexName, parseIndex, type IndexEntry } from '../format.ts';
import { parseMetadata } from '../member-metadata.ts';
import { MemberWalk, type Member } from '../member-walk.ts';
import { fileName, longestXattr, ltfsNames, ltfsXattrs, makeFolders, writeFully } from './layout.ts';
import { manifestText, memberLine, type BlockRuns, type ManifestMember } from './manifest.ts';
import { SparseMapReader, type Segment } from './sparse-map.ts';

/** Many times what the headers of a container need, and what memory can hold. */
const mostHeld = 2 ** 29;

interface FoundMember {
  readonly member: Member;
  readonly header: Buffer;
}

export class ContainerOutput {
  readonly #folder: string;
  readonly #walk: MemberWalk;
  /** Members whose header is known and whose payload has not begun. */
  readonly #found: FoundMember[] = [];
  readonly #members: ManifestMember[] = [];
  /** All bytes of the archive that are no file's content, written in one piece at the end: interleaved with the files they would lie all over the tape. */
  readonly #headers: Buffer[] = [];
  readonly #made = new Set<string>();
  readonly #runs: [size: number, count: number][] = [];
  #position = 0;
  /** Bytes of headers. */
  #held = 0;
  #file: MemberFile | null = null;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#walk = new MemberWalk(0, (member, header) => this.#found.push({ member, header }));
  }

  /** What an earlier attempt left in the folder is lost. */
  static async create(folder: string): Promise<ContainerOutput> {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    return new ContainerOutput(folder);
  }

  /** Blocks so far. */
  get blocks(): number {
    return this.#runs.reduce((sum, [, count]) => sum + count, 0);
  }

  get files(): number {
    return this.#members.length;
  }

  /** Bytes that will take room on the volume when the container ends. */
  get held(): number {
    return this.#held;
  }

  /** After a failure the container is good for nothing but abandon(). */
  async append(block: Buffer): Promise<void> {
    this.#walk.feed(this.#position, block);
    for (let at = 0; at < block.length; ) {
      const file = this.#file ?? (await this.#next(at));
      if (file === null) {
        const upTo = Math.min(block.length, this.#payloadStart() - this.#position);
        this.#hold(block.subarray(at, upTo));
        at = upTo;
        continue;
      }
      const part = block.subarray(at, at + file.left);
      const kept = await file.take(part);
      if (kept > 0) this.#hold(part.subarray(0, kept));
      at += part.length;
      if (file.left === 0) await this.#endFile();
    }
    this.#position += block.length;
    const run = this.#runs.at(-1);
    if (run?.[0] === block.length) run[1] += 1;
    else this.#runs.push([block.length, 1]);
  }

  /** Everything is with LTFS when it resolves, and nothing on tape for sure. */
  async end(ended: boolean): Promise<void> {
    await this.#cut();
    const members = await this.#withIndex();
    await writeFile(join(this.#folder, ltfsNames.headers), Buffer.concat(this.#headers));
    await writeFile(join(this.#folder, ltfsNames.manifest), manifestText(this.#runs satisfies BlockRuns, ended, members));
    const summary = Buffer.from(JSON.stringify({ blocks: this.blocks, ended, members: members.length }));
    await native.setxattrAsync(this.#folder, ltfsXattrs.container, summary);
  }

  /** Best effort: without its attribute the folder counts for nothing. */
  async abandon(): Promise<void> {
    await Promise.allSettled([this.#file?.drop()]);
    this.#file = null;
    await Promise.allSettled([rm(this.#folder, { recursive: true, force: true })]);
  }

  #hold(part: Buffer): void {
    this.#held += part.length;
    if (this.#held > mostHeld) throw new HsmError('EINVAL', `a container has more than ${mostHeld} bytes that are in no file`);
    this.#headers.push(Buffer.from(part));
  }

  /** Where the next payload begins; behind any block when no member is known. */
  #payloadStart(): number {
    const [next] = this.#found;
    return next === undefined ? Infinity : next.member.offset + next.member.headerLength;
  }

  /** The file that begins at `at` of the present block, if one does. */
  async #next(at: number): Promise<MemberFile | null> {
    while (this.#payloadStart() === this.#position + at) {
      const found = this.#found.shift()!;
      if (found.member.type === '1' || isIndexName(found.member.name)) {
        if (found.member.type === '1') this.#members.push(describe(found, null, 0));
        continue;
      }
      this.#file = new MemberFile(found, await this.#place(found.member));
      if (this.#file.left > 0) return this.#file;
      await this.#endFile();
    }
    return null;
  }

  /** Opens the member's file under its own name or, where LTFS or another member stands against that, under its object's. */
  async #place({ name, object, offset }: Member): Promise<OpenFile> {
    const wanted = fileName(name);
    const fallback = join(ltfsNames.objects, object?.toString('hex') ?? `offset-${offset}`);
    if (wanted === null) return this.#create(fallback);
    try {
      return await this.#create(join(ltfsNames.files, wanted));
    } catch (error) {
      if (!['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'EILSEQ', 'EINVAL'].includes(errorCode(error))) throw error;
      return this.#create(fallback);
    }
  }

  async #create(file: string): Promise<OpenFile> {
    const path = join(this.#folder, file);
    const parent = dirname(file);
    if (!this.#made.has(parent)) {
      await makeFolders(this.#folder, parent);
      this.#made.add(parent);
    }
    return { file, path, handle: await open(path, 'wx') };
  }

  async #endFile(): Promise<void> {
    const file = this.#file!;
    const member = await file.end();
    this.#file = null;
    this.#members.push(member);
  }

  /** A file that the container does not hold to its end is not on the volume: half a file would be taken for a whole one. */
  async #cut(): Promise<void> {
    if (this.#file === null) return;
    const { found } = this.#file;
    const map = this.#file.map;
    await this.#file.drop();
    this.#file = null;
    this.#members.push({ ...describe(found, null, map), void: 'cut' });
  }

  /** Large files have their hash in the index alone, and it says which members are void: those must not be taken for files. */
  async #withIndex(): Promise<ManifestMember[]> {
    const { index } = this.#walk;
    const entries = new Map<number, IndexEntry>(index?.intact === true ? parseIndex(index.payload).map((entry) => [entry.offset, entry]) : []);
    const members: ManifestMember[] = [];
    for (const member of this.#members) {
      const entry = entries.get(member.offset);
      if (entry?.kind === 'void' && member.file !== null) {
        await rm(join(this.#folder, member.file), { force: true });
        members.push({ ...member, file: null, void: entry.reason ?? 'changed' });
      } else {
        members.push({ ...member, sha256: member.sha256 ?? entry?.sha256 ?? null });
      }
    }
    return members;
  }
}

interface OpenFile {
  /** Below the container's folder. */
  readonly file: string;
  readonly path: string;
  readonly handle: FileHandle;
}

/** A member on its way to its file. Of a sparse one the map goes to the headers, and its segments go where they belong. */
class MemberFile {
  readonly found: FoundMember;
  /** Bytes of payload that have not come yet. */
  left: number;
  readonly #open: OpenFile;
  readonly #map: SparseMapReader | null;
  #segments: readonly Segment[] = [];
  /** The segment at hand, and how much of it is written. */
  #segment = 0;
  #position = 0;

  constructor(found: FoundMember, file: OpenFile) {
    this.found = found;
    this.left = found.member.payload;
    this.#open = file;
    this.#map = found.member.sparse ? new SparseMapReader() : null;
  }

  get map(): number {
    return this.#map?.length ?? 0;
  }

  /** How many of the bytes are not the file's but the map's. */
  async take(part: Buffer): Promise<number> {
    this.left -= part.length;
    let kept = 0;
    if (this.#map !== null && !this.#map.done) {
      kept = this.#map.feed(part);
      if (!this.#map.done) return kept;
      this.#segments = this.#map.segments;
    }
    await this.#write(part.subarray(kept));
    return kept;
  }

  async end(): Promise<ManifestMember> {
    const { handle, path, file } = this.#open;
    const { member } = this.found;
    const described = describe(this.found, file, this.map);
    if (member.sparse) await handle.truncate(member.size);
    await handle.close();
    await setMetadata(path, described);
    return described;
  }

  async drop(): Promise<void> {
    await this.#open.handle.close();
    await rm(this.#open.path, { force: true });
  }

  async #write(data: Buffer): Promise<void> {
    if (this.#map === null) {
      await writeFully(this.#open.handle, data, this.#position);
      this.#position += data.length;
      return;
    }
    for (let at = 0; at < data.length; ) {
      const segment = this.#segments[this.#segment];
      if (segment === undefined) throw new HsmError('EIO', 'a sparse member holds more data than its map says');
      const part = data.subarray(at, at + segment.length - this.#position);
      await writeFully(this.#open.handle, part, segment.offset + this.#position);
      at += part.length;
      this.#position += part.length;
      if (this.#position < segment.length) continue;
      this.#segment += 1;
      this.#position = 0;
    }
  }
}

/** What LTFS can hold of the inode's attributes: its times, and all of them as text. The manifest has those that are too long. */
async function setMetadata(path: string, member: ManifestMember): Promise<void> {
  const full = memberLine(member);
  const line = Buffer.byteLength(full) <= longestXattr ? full : memberLine(member, { brief: true });
  if (Buffer.byteLength(line) <= longestXattr) await native.setxattrAsync(path, ltfsXattrs.member, Buffer.from(line));
  if (member.metadata === null) return;
  const { atimeNs, mtimeNs } = member.metadata;
  await utimes(path, Number(atimeNs) / 1e9, Number(mtimeNs) / 1e9);
}

const describe = ({ member, header }: FoundMember, file: string | null, map: number): ManifestMember => ({
  name: member.name,
  file,
  offset: member.offset,
  headerLength: member.headerLength,
  payload: member.payload,
  map,
  size: member.size,
  object: member.object,
  sha256: member.sha256,
  link: member.type === '1' ? member.link : null,
  void: null,
  metadata: parseMetadata(header),
});
