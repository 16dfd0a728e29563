/** Writes one container to a volume of every pool at once, and says which of its files are on all of them for good. */
import { rm } from 'node:fs/promises';
import type { ContainerRow, VolumeRow } from '../catalog/model.ts';
import { errorCode, HsmError } from '../errors.ts';
import { LoadError, type LeasedVolume } from '../library/drive-pool.ts';
import { firstContainerAddress, verifyContainer } from '../media/containers.ts';
import { tapeBlockSize } from '../media/format.ts';
import type { Medium, WriteResult } from '../media/medium.ts';
import { packStatus, type PackedMembers, type Packer } from '../native/index.ts';
import type { ArchiverContext } from './context.ts';
import { MemberList } from './members.ts';
import type { Pace } from './pace.ts';
import { VolumeRefused, type Volumes } from './volumes.ts';

/** Where blocks come from: a container that was begun in the packer unless `blocks` is there, and what is called as it goes on. */
export interface BlockSource {
  readonly blocks?: Pick<Packer, 'next' | 'release'>;
  /** Bytes that a volume should have room for. */
  readonly need: number;
  /** A file that the packer left out, by row. */
  onSkipped(row: number, status: number): void;
  /** After each block: what is on all volumes by now. */
  onProgress(files: number, bytes: number): void;
  /** The packer is free again, while the container is made durable. */
  onPacked(): void;
  /** True when the container is to end with the members that are complete. */
  stopNow(): boolean;
  /** Drops what is left of the container in the packer. */
  drop(): Promise<void>;
  /** The path of a temporary file with the index of a container that was truncated. */
  writeIndex(members: MemberList): Promise<string>;
}

export interface WrittenContainer {
  /** One per pool, in the order of the pools. */
  readonly containers: readonly ContainerRow[];
  readonly members: MemberList;
  readonly truncated: boolean;
  readonly bytes: number;
  /** Some volume takes no more. */
  readonly full: boolean;
}

export interface WriteOutcome {
  /** Null where nothing counts: all of the container's files are to be put back. */
  readonly written: WrittenContainer | null;
  /** Not even the first file fitted on a volume that was empty: no other volume of its size would do. */
  readonly tooLarge: boolean;
}

interface Target {
  readonly row: VolumeRow;
  readonly medium: Medium;
  readonly container: ContainerRow;
  blocks: number;
  full: boolean;
}

type Ended = 'whole' | 'truncated' | 'failed';

export class ContainerWriter {
  readonly #context: Pick<ArchiverContext, 'catalog' | 'drives' | 'log'>;
  readonly #volumes: Volumes;
  readonly #packer: Packer;
  readonly #pace: Pace;

  constructor(context: Pick<ArchiverContext, 'catalog' | 'drives' | 'log'>, volumes: Volumes, packer: Packer, pace: Pace) {
    this.#context = context;
    this.#volumes = volumes;
    this.#packer = packer;
    this.#pace = pace;
  }

  /**
   * Writes to one volume per pool. Volumes that cannot be used are passed over until there are none: `NO_VOLUME`. When it
   * resolves, the containers are durable on tape and closed in the catalogue, or void; when it fails, they are void, or stay
   * 'writing' (and are given up by the next writer) where not even that could be recorded.
   */
  async write(pools: readonly string[], source: BlockSource): Promise<WriteOutcome> {
    for (;;) {
      const barcodes: string[] = [];
      for (const pool of pools) barcodes.push((await this.#volumes.choose(pool, source.need, barcodes)).barcode);
      try {
        return await this.#context.drives.withVolumes(barcodes, 'write', 'archive', (leased) => this.#writeTo(pools, leased, source));
      } catch (error) {
        if (error instanceof VolumeRefused) continue;
        if (!(error instanceof LoadError) || error.code === 'NO_DRIVE' || error.code === 'ECANCELED') throw error;
        this.#volumes.avoid(error.barcode, error.message);
      }
    }
  }

  /**
   * Appends a container with one file from hsm itself to a volume that is in use. False when it did not fit or the volume failed:
   * then the volume is as before, but for its state.
   */
  async appendFile(medium: Medium, pool: string, name: string, path: string): Promise<boolean> {
    const row = await this.#volumes.prepare(medium, medium.barcode, pool);
    const target = await this.#begin(row, medium);
    this.#packer.begin();
    this.#packer.pushFile(name, path);
    this.#packer.end();
    const members = new MemberList();
    const source: BlockSource = { ...quiet, drop: () => this.#packer.abort() };
    const ended = await this.#fill([target], members, source);
    const good = ended === 'whole' && members.count > 0 && (await this.#makeDurable([target])) && (await this.#readBack([target], members, ended));
    if (good && (await this.#close([target], 'closed')) !== null) return true;
    await this.#giveUp([target]);
    return false;
  }

  async #writeTo(pools: readonly string[], leased: readonly LeasedVolume[], source: BlockSource): Promise<WriteOutcome> {
    const rows = await allOf(leased.map(({ medium }, i) => this.#volumes.prepare(medium, medium.barcode, pools[i]!)));
    const targets: Target[] = [];
    for (const [i, row] of rows.entries()) targets.push(await this.#begin(row, leased[i]!.medium));
    try {
      return await this.#writeOut(targets, source);
    } catch (error) {
      // Should that fail too, the next writer of the volume does it.
      await this.#giveUp(targets).catch(() => undefined);
      throw error;
    }
  }

  async #writeOut(targets: readonly Target[], source: BlockSource): Promise<WriteOutcome> {
    const members = new MemberList();
    const ended = await this.#fill(targets, members, source);
    if (ended === 'whole') source.onPacked();
    const good = ended !== 'failed' && members.count > 0 && (await this.#makeDurable(targets)) && (await this.#readBack(targets, members, ended));
    const containers = good ? await this.#close(targets, ended === 'whole' ? 'closed' : 'truncated') : null;
    const full = targets.filter((target) => target.full);
    if (containers === null) {
      await this.#giveUp(targets);
      const tooLarge = members.count === 0 && full.some(({ row }) => row.endBlock <= firstContainerAddress);
      if (!tooLarge) await this.#markFull(full);
      return { written: null, tooLarge };
    }
    if (ended === 'truncated') await this.#appendIndexes(targets, members, source);
    await this.#markFull(full);
    const bytes = Math.max(...containers.map((container) => container.bytes));
    return { written: { containers, members, truncated: ended === 'truncated', bytes, full: full.length > 0 }, tooLarge: false };
  }

  /** What a truncated container lacks, where there is room for it. Nothing depends on it but a reader without the catalogue. */
  async #appendIndexes(targets: readonly Target[], members: MemberList, source: BlockSource): Promise<void> {
    const index = await source.writeIndex(members);
    try {
      for (const { row, medium, container } of targets) {
        const done = await this.appendFile(medium, row.pool ?? '', `.hsm/container-${container.number}.jsonl`, index);
        if (!done) this.#context.log.warn({ barcode: row.barcode, container: container.number }, 'no room for the index of a truncated container');
      }
    } finally {
      await rm(index, { force: true });
    }
  }

  async #begin(row: VolumeRow, medium: Medium): Promise<Target> {
    const container = await this.#context.catalog.beginContainer(row.barcode, row.endBlock);
    return { row, medium, container, blocks: 0, full: false };
  }

  /** Whatever happens, the packer has no part of the container afterwards. */
  async #fill(targets: readonly Target[], members: MemberList, source: BlockSource): Promise<Ended> {
    let ended: Ended = 'failed';
    try {
      ended = await this.#pace.during(() => this.#copy(targets, members, source));
      return ended;
    } finally {
      if (ended !== 'whole') await source.drop();
    }
  }

  /** Until the packer has no more, a volume is full or fails, or a stop is wanted. `members` gets those that are whole on all volumes. */
  async #copy(targets: readonly Target[], members: MemberList, source: BlockSource): Promise<Ended> {
    const blocks = source.blocks ?? this.#packer;
    for (;;) {
      const { block, members: found } = await this.#pace.wait(blocks.next());
      if (block === null) {
        take(found, members, source);
        return 'whole';
      }
      let result: EachResult;
      try {
        result = await this.#onEach(targets, (medium) => medium.writeBlock(block));
      } finally {
        blocks.release(block);
      }
      if (result !== 'done') return result === 'full' ? 'truncated' : 'failed';
      for (const target of targets) target.blocks += 1;
      take(found, members, source);
      source.onProgress(members.count, targets[0]!.blocks * block.length);
      if (!source.stopNow() && !targets.some(({ full }) => full)) continue;
      // Past early warning there is room for little: only what ends here anyway is ended well.
      const next = await blocks.next();
      if (next.block === null) {
        take(next.members, members, source);
        return 'whole';
      }
      blocks.release(next.block);
      return 'truncated';
    }
  }

  async #makeDurable(targets: readonly Target[]): Promise<boolean> {
    return (await this.#onEach(targets, (medium) => medium.writeFilemark({ sync: true }))) === 'done';
  }

  /** Where a synchronous filemark is no proof, what does not come back from the volume as it was packed does not count. */
  async #readBack(targets: readonly Target[], members: MemberList, ended: Ended): Promise<boolean> {
    const results = await allOf(targets.filter(({ medium }) => medium.readBack === true).map((target) => this.#comesBack(target, members, ended)));
    return results.every((good) => good);
  }

  async #comesBack(target: Target, members: MemberList, ended: Ended): Promise<boolean> {
    const { medium, container } = target;
    try {
      const end = await medium.position();
      const { damaged, index } = await verifyContainer(medium, container.startBlock, members);
      await medium.locate(end);
      if (damaged.length === 0 && (index || ended === 'truncated')) return true;
      throw new HsmError('EIO', `${damaged.length} of ${members.count} members did not come back as they were written`, { retry: 'other-copy' });
    } catch (error) {
      await this.#blame(target, error);
      return false;
    }
  }

  /** Waits for all of them, then says what the worst result means. Errors that are not of one volume are thrown. */
  async #onEach(targets: readonly Target[], run: (medium: Medium) => Promise<WriteResult>): Promise<EachResult> {
    const results = await Promise.allSettled(targets.map(({ medium }) => run(medium)));
    let worst: EachResult = 'done';
    for (const [i, result] of results.entries()) {
      const target = targets[i]!;
      if (result.status === 'fulfilled') {
        target.full ||= result.value.earlyWarning;
      } else if (errorCode(result.reason) === 'ENOSPC') {
        target.full = true;
        if (worst === 'done') worst = 'full';
      } else {
        worst = 'failed';
        await this.#blame(target, result.reason);
      }
    }
    return worst;
  }

  /** Passes the volume over from now on, or throws what no other volume would help against. */
  async #blame({ row, container }: Target, error: unknown): Promise<void> {
    const reason = `container ${container.number} failed: ${error instanceof Error ? error.message : String(error)}`;
    switch (errorCode(error)) {
      case 'EIO':
      case 'EINVAL':
        return this.#volumes.suspect(row.barcode, reason);
      case 'EROFS':
        return this.#context.catalog.setVolume(row.barcode, { state: 'readonly', reason });
      case 'NOT_LOADED':
      case 'EBUSY':
        return this.#volumes.avoid(row.barcode, reason);
      default:
        throw error;
    }
  }

  /** Null when a volume no longer knows where it is: then nothing is closed. */
  async #close(targets: readonly Target[], state: 'closed' | 'truncated'): Promise<ContainerRow[] | null> {
    const ends: { endBlock: number; used: number }[] = [];
    for (const target of targets) {
      try {
        ends.push({ endBlock: await target.medium.position(), used: (await target.medium.capacity()).used });
      } catch (error) {
        await this.#blame(target, error);
        return null;
      }
    }
    const closed: ContainerRow[] = [];
    for (const [i, { medium, container, blocks }] of targets.entries()) {
      const { endBlock, used } = ends[i]!;
      const bytes = blocks * tapeBlockSize;
      await this.#context.catalog.closeContainer(container.id, { state, bytes, endBlock, used });
      const verified = medium.readBack === true;
      if (verified) await this.#context.catalog.markVerified([container.id]);
      this.#volumes.left(medium, endBlock);
      closed.push({ ...container, state, bytes, verified });
    }
    return closed;
  }

  /** The next container goes to the same place. */
  async #giveUp(targets: readonly Target[]): Promise<void> {
    for (const { container, row } of targets) {
      await this.#context.catalog.closeContainer(container.id, { state: 'void', bytes: 0, endBlock: row.endBlock, used: row.used });
      this.#volumes.gaveUp(row.barcode, container.startBlock);
    }
  }

  async #markFull(full: readonly Target[]): Promise<void> {
    for (const { row } of full) {
      const now = await this.#context.catalog.volume(row.barcode);
      if (now?.state === 'writable') await this.#context.catalog.setVolume(row.barcode, { state: 'full' });
    }
  }
}

type EachResult = 'done' | 'full' | 'failed';

const quiet: Omit<BlockSource, 'drop'> = {
  need: 0,
  onSkipped: () => undefined,
  onProgress: () => undefined,
  onPacked: () => undefined,
  stopNow: () => false,
  writeIndex: () => Promise.reject(new Error('a file of hsm itself has no index')),
};

/** Waits for all, so that none is still at work when the first failure is told. */
async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

/** Whole runs of packed members at a time. */
function take(found: PackedMembers, members: MemberList, source: Pick<BlockSource, 'onSkipped'>): void {
  for (let from = 0; from < found.count; ) {
    let to = from;
    while (to < found.count && found.status[to] === packStatus.packed) to += 1;
    if (to > from) members.append(found, from, to);
    if (to < found.count) source.onSkipped(found.row[to]!, found.status[to]!);
    from = to + 1;
  }
}
