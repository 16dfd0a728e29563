/** Gives objects that are on tape a further copy: written, durable, read back, and only then in the catalogue. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerRow, CopyToKeep, NewCopy } from '../../catalog/model.ts';
import { errorCode, HsmError } from '../../errors.ts';
import { LoadError, type DrivePool } from '../../library/drive-pool.ts';
import { tapeBlockSize } from '../../media/format.ts';
import { endLine } from '../../media/index-member.ts';
import { native } from '../../native/index.ts';
import { appendCatalogue } from '../catalogue-dump.ts';
import { ContainerWriter, type BlockSource, type WriteOutcome, type WrittenContainer } from '../container-writer.ts';
import type { ArchiverContext } from '../context.ts';
import type { MemberList } from '../members.ts';
import { Pace } from '../pace.ts';
import { verifyContainers } from '../verify-containers.ts';
import { Volumes } from '../volumes.ts';
import { MemberCopier, type CopySource } from './member-copier.ts';

/** A member that could not be copied from where it was looked for. */
export interface NotCopied {
  readonly member: CopyToKeep;
  readonly container: Pick<ContainerRow, 'volume' | 'number'>;
  readonly reason: string;
}

export interface MembersToCopy {
  readonly container: ContainerRow;
  readonly members: readonly CopyToKeep[];
}

export interface CopyObserver {
  /** After each container that is in the catalogue. */
  copied(members: number, bytes: number): void;
}

/** Room for label, markers and index beside the largest member. */
const spare = 4 * 2 ** 20;
const mostMembers = 65_536;
/** A container is left to end by itself for so long after a stop is requested, ms. */
const patience = 5000;
/** Containers in a row that came to nothing, though nothing was wrong with what was to be copied. */
const mostFailures = 8;

export class ObjectCopier {
  readonly #context: ArchiverContext;
  readonly #observer: CopyObserver;
  readonly #volumes: Volumes;
  readonly #folder: string;
  readonly #packer: InstanceType<typeof native.Packer>;
  readonly #pace = new Pace();
  /** Volumes that were written to, with their pools. */
  readonly #used = new Map<string, string>();
  readonly #uuids: ReadonlyMap<number, string>;
  #stoppedAt: number | null = null;

  /** `avoid`: volumes that nothing is copied to, and why. */
  static async open(context: ArchiverContext, avoid: ReadonlyMap<string, string>, observer: CopyObserver): Promise<ObjectCopier> {
    const uuids = new Map((await context.catalog.filesystems()).map(({ id, uuid }) => [id, uuid]));
    return new ObjectCopier(context, avoid, observer, uuids, await mkdtemp(join(context.config.state, 'copy-')));
  }

  private constructor(context: ArchiverContext, avoid: ReadonlyMap<string, string>, observer: CopyObserver, uuids: ReadonlyMap<number, string>, folder: string) {
    this.#context = context;
    this.#observer = observer;
    this.#uuids = uuids;
    this.#folder = folder;
    this.#volumes = new Volumes(context.catalog, context.log, avoid);
    this.#packer = new native.Packer({ mountFd: context.filesystem.mountFd, blockSize: tapeBlockSize, objectPrefix: Buffer.alloc(8) });
  }

  /** Puts a copy of the catalogue on the volumes that were written to, and ends the use of this. */
  async close({ dump }: { readonly dump: boolean }): Promise<void> {
    try {
      if (dump && this.#used.size > 0) await appendCatalogue(this.#context, this.#writer(this.#context.drives), this.#used, this.#folder);
    } finally {
      this.#packer.close();
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  /**
   * From one volume to others of `pool`. Resolves with what could not be read right there; the rest is copied, or a stop was requested. Fails
   * with `NO_DRIVE`, `NO_VOLUME`, and errors of the catalogue.
   */
  async copy(source: string, pool: string, wanted: readonly MembersToCopy[]): Promise<NotCopied[]> {
    const failed: NotCopied[] = [];
    for (const group of this.#groups(wanted)) {
      if (this.#context.stopRequested()) break;
      failed.push(...(await this.#copyGroup(source, pool, group)));
    }
    return failed;
  }

  /** As many source containers as make one new one. A container that is larger is one by itself. */
  *#groups(wanted: readonly MembersToCopy[]): Generator<MembersToCopy[]> {
    let group: MembersToCopy[] = [];
    let bytes = 0;
    let count = 0;
    for (const each of wanted) {
      if (each.members.length === 0) continue;
      const size = each.members.reduce((sum, { length }) => sum + length, 0);
      if (group.length > 0 && (bytes + size > this.#context.config.archive.containerSize || count + each.members.length > mostMembers)) {
        yield group;
        [group, bytes, count] = [[], 0, 0];
      }
      group.push(each);
      bytes += size;
      count += each.members.length;
    }
    if (group.length > 0) yield group;
  }

  /** `careful`: nothing is read but what is wanted, links not. */
  async #copyGroup(source: string, pool: string, group: readonly MembersToCopy[], careful = false): Promise<NotCopied[]> {
    const failed: NotCopied[] = [];
    let left = group;
    let failures = 0;
    while (left.length > 0 && !this.#context.stopRequested()) {
      const members = left.flatMap(({ container, members: some }) => some.map((member) => ({ container, member })));
      const give = (rows: Iterable<number>, reason: (row: number) => string): void => {
        for (const row of rows) failed.push({ ...members[row]!, reason: reason(row) });
      };
      const done = new Set<number>();
      const { outcome, copier, error } = await this.#write(source, pool, left, careful);
      if (error !== null) {
        // One block that cannot be read is no reason to give up all the others.
        if (members.length === 1 || error instanceof LoadError) give(members.keys(), () => error.message);
        else for (const half of halves(left)) failed.push(...(await this.#copyGroup(source, pool, half, true)));
        return failed;
      }
      for (const [row] of copier?.damaged ?? []) done.add(row);
      give(done, (row) => copier?.damaged.get(row) ?? '');
      if (outcome.tooLarge) {
        const first = members.findIndex((_, row) => !done.has(row));
        if (first >= 0) {
          give([first], () => 'EFBIG');
          done.add(first);
        }
      }
      if (outcome.written !== null) for (const row of await this.#accept(outcome.written, pool)) done.add(row);
      failures = done.size > 0 ? 0 : failures + 1;
      if (failures >= mostFailures) throw new HsmError('EIO', `nothing could be written to pool ${pool} in ${failures} attempts: see hsm tape ls`, { retry: 'later' });
      left = without(left, done);
    }
    return failed;
  }

  /** One container, whole or cut short, or nothing. `error`: the source could not be read. */
  async #write(source: string, pool: string, group: readonly MembersToCopy[], careful: boolean): Promise<{ outcome: WriteOutcome; copier: MemberCopier | null; error: Error | null }> {
    const sources = group.map(({ container, members }): CopySource => ({ container, members, filesystem: this.#uuids.get(members[0]?.filesystem ?? -1) ?? null }));
    const made: { copier: MemberCopier | null; failure: Error | null } = { copier: null, failure: null };
    const { drives, clock } = this.#context;
    const withSource: Pick<DrivePool, 'withVolumes' | 'withVolume'> = {
      withVolume: (...words) => drives.withVolume(...words),
      withVolumes: (barcodes, purpose, priority, use, options) =>
        drives
          .withVolumes([...barcodes, source], purpose, priority, (leased) => {
            made.copier = new MemberCopier(leased.at(-1)!.medium, sources, () => new Date(clock.now()), careful);
            return use(leased.slice(0, -1));
          }, options)
          .catch((error: unknown) => {
            // A source that cannot be loaded is no reason to try another volume to write to.
            if (!(error instanceof LoadError) || error.barcode !== source || error.code === 'NO_DRIVE' || error.code === 'ECANCELED') throw error;
            made.failure = error;
            throw new HsmError('SOURCE_FAILED', error.message, { cause: error });
          }),
    };
    const blocks: NonNullable<BlockSource['blocks']> = {
      next: () =>
        made.copier!.next().catch((error: unknown) => {
          made.failure = new HsmError('SOURCE_FAILED', (error as Error).message, { cause: error });
          throw made.failure;
        }),
      release: (block) => made.copier?.release(block),
    };
    const largest = Math.max(...group.flatMap(({ members }) => members.map(({ length }) => length)));
    const block: BlockSource = {
      blocks,
      need: 1.01 * largest + spare,
      onSkipped: () => undefined,
      onProgress: () => undefined,
      onPacked: () => undefined,
      stopNow: () => this.#stopNow(),
      drop: async () => made.copier?.abort(),
      writeIndex: (members) => this.#writeIndex(members, made.copier),
    };
    try {
      return { outcome: await this.#writer(withSource).write([pool], block), copier: made.copier, error: null };
    } catch (error) {
      if (errorCode(error) === 'EFBIG') {
        if (group.length > 1 || group[0]!.members.length > 1) throw new HsmError('NO_VOLUME', (error as Error).message, { cause: error });
        return { outcome: { written: null, tooLarge: true }, copier: null, error: null };
      }
      if (made.failure === null) throw error;
      return { outcome: { written: null, tooLarge: false }, copier: made.copier, error: made.failure };
    }
  }

  #writer(drives: Pick<DrivePool, 'withVolumes' | 'withVolume'>): ContainerWriter {
    return new ContainerWriter({ ...this.#context, drives: { ...drives, up: this.#context.drives.up } }, this.#volumes, this.#packer, this.#pace);
  }

  #stopNow(): boolean {
    if (!this.#context.stopRequested()) return false;
    this.#stoppedAt ??= this.#context.clock.now();
    return this.#context.clock.now() - this.#stoppedAt > patience;
  }

  async #writeIndex(members: MemberList, copier: MemberCopier | null): Promise<string> {
    const path = join(this.#folder, 'index.jsonl');
    const lines = Array.from(members.row.subarray(0, members.count), (row) => copier?.lineOf(row) ?? '');
    const last = members.count - 1;
    const end = members.count === 0 ? 0 : members.offset[last]! + members.length[last]!;
    await writeFile(path, lines.join('') + endLine(end, members.count, null), { mode: 0o600 });
    return path;
  }

  /** The rows that have a copy in the catalogue now: none where what was written cannot be read back right. */
  async #accept({ containers, members }: WrittenContainer, pool: string): Promise<number[]> {
    const container = containers[0]!;
    this.#used.set(container.volume, pool);
    const { count } = members;
    const columns = { count, offset: members.offset.subarray(0, count), size: members.size.subarray(0, count), objectIds: members.objectIds.subarray(0, count * 16), sha256: members.sha256.subarray(0, count * 32) };
    const { verified, unread } = await verifyContainers(this.#context, [{ container, members: async () => columns }]);
    for (const error of unread.values()) throw error;
    if (!verified.has(container.id)) {
      await this.#giveUp(container);
      return [];
    }
    const copies = Array.from({ length: count }, (_, i): NewCopy => ({ object: Buffer.from(members.objectIds.subarray(i * 16, i * 16 + 16)), offset: members.offset[i]!, length: members.length[i]! }));
    await this.#context.catalog.addCopies(container.id, copies);
    this.#observer.copied(count, copies.reduce((sum, { length }) => sum + length, 0));
    return Array.from(members.row.subarray(0, count));
  }

  async #giveUp({ id, volume, bytes }: ContainerRow): Promise<void> {
    const row = await this.#context.catalog.volume(volume);
    if (row !== undefined) await this.#context.catalog.closeContainer(id, { state: 'void', bytes, endBlock: row.endBlock, used: row.used });
  }
}

function halves(group: readonly MembersToCopy[]): [MembersToCopy[], MembersToCopy[]] {
  if (group.length > 1) return [group.slice(0, group.length >> 1), group.slice(group.length >> 1)];
  const { container, members } = group[0]!;
  return [[{ container, members: members.slice(0, members.length >> 1) }], [{ container, members: members.slice(members.length >> 1) }]];
}

/** Rows count over all of `group`. */
function without(group: readonly MembersToCopy[], rows: ReadonlySet<number>): MembersToCopy[] {
  let first = 0;
  return group.flatMap(({ container, members }) => {
    const from = first;
    first += members.length;
    const left = members.filter((_, i) => !rows.has(from + i));
    return left.length === 0 ? [] : [{ container, members: left }];
  });
}
