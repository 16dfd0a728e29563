/** Chooses the volume that a pool's next container goes to, and makes sure that the one in the drive is that volume, at its end. */
import type { VolumeRow } from '../catalog/model.ts';
import { errorCode, HsmError } from '../errors.ts';
import { checkVolumeLabel, firstContainerAddress, labelVolume, readLabel } from '../media/containers.ts';
import { tapeBlockSize } from '../media/format.ts';
import type { BlockAddress, Medium } from '../media/medium.ts';
import { tapeFiles } from '../media/tape-files.ts';
import { formatSize } from '../units.ts';
import type { ArchiverCatalog, Log } from './context.ts';

/** A volume that cannot take a container now. Another one may: its reason is logged and, where it is the volume's fault, in the catalogue. */
export class VolumeRefused extends HsmError {
  readonly barcode: string;

  constructor(barcode: string, reason: string, cause?: unknown) {
    super('VOLUME_REFUSED', `${barcode} takes no container: ${reason}`, { retry: 'other-copy', cause });
    this.barcode = barcode;
  }
}

type VolumesCatalog = Pick<ArchiverCatalog, 'volumes' | 'volume' | 'setVolume' | 'containers' | 'closeContainer' | 'logEvent'>;

export class Volumes {
  readonly #catalog: VolumesCatalog;
  readonly #log: Log;
  /** Out of reach for the rest of this run. */
  readonly #avoided: Map<string, string>;
  /** Where we left media whose label we have read or written: they need no second look. */
  readonly #known = new WeakMap<Medium, BlockAddress>();
  /** Where this run gave a container up last, by barcode. */
  readonly #ours = new Map<string, BlockAddress>();

  /** `avoided`: volumes that are not chosen, and why. */
  constructor(catalog: VolumesCatalog, log: Log, avoided: ReadonlyMap<string, string> = new Map()) {
    this.#catalog = catalog;
    this.#log = log;
    this.#avoided = new Map(avoided);
  }

  /**
   * The writable volume of the pool that is fullest and has room for `need` bytes, else a scratch volume: one of the pool's own first.
   * Fails with `NO_VOLUME`, or `EFBIG` when volumes are there and none of them could ever hold so much.
   */
  async choose(pool: string, need: number, taken: readonly string[]): Promise<VolumeRow> {
    const usable = (await this.#catalog.volumes()).filter(({ barcode }) => !this.#avoided.has(barcode) && !taken.includes(barcode));
    const open = usable.filter((volume) => volume.state === 'writable' && volume.pool === pool);
    const scratch = usable.filter((volume) => volume.state === 'scratch' && (volume.pool === pool || volume.pool === null));
    const fits = ({ capacity, used }: VolumeRow): boolean => capacity - used > need;
    open.sort((a, b) => b.used - a.used || byBarcode(a, b));
    scratch.sort((a, b) => Number(b.pool === pool) - Number(a.pool === pool) || byBarcode(a, b));
    const chosen = [...open, ...scratch].find(fits);
    if (chosen !== undefined) return chosen;
    if (open.length + scratch.length > 0) {
      throw new HsmError('EFBIG', `pool ${pool} has no writable or scratch volume with room for ${formatSize(need)}: hsm tape add`);
    }
    throw new HsmError('NO_VOLUME', `pool ${pool} has no writable or scratch volume: hsm tape add${this.#whyAvoided()}`);
  }

  /** Not chosen again in this run. */
  avoid(barcode: string, reason: string): void {
    this.#avoided.set(barcode, reason);
    this.#log.warn({ barcode, reason }, 'a volume is passed over');
  }

  /** Passed over now and in later runs, until an operator has looked at it. */
  async suspect(barcode: string, reason: string): Promise<void> {
    this.avoid(barcode, reason);
    await this.#catalog.setVolume(barcode, { state: 'suspect', reason });
    await this.#catalog.logEvent('volume-suspect', null, { barcode, reason });
  }

  /**
   * Makes a loaded volume ready to be appended to: checks or writes its label, gives containers that were never closed up, and
   * positions at the end of what counts. Resolves with the fresh row; fails with VolumeRefused.
   */
  async prepare(medium: Medium, barcode: string, pool: string): Promise<VolumeRow> {
    const row = await this.#catalog.volume(barcode);
    if (row === undefined) throw this.#refuse(barcode, 'it has left the catalogue');
    if (row.state !== 'writable' && row.state !== 'scratch') throw this.#refuse(barcode, `it has become ${row.state}`);
    if (medium.writeProtected) {
      await this.#catalog.setVolume(barcode, { state: 'readonly', reason: 'write protected' });
      throw this.#refuse(barcode, 'it is write protected');
    }
    try {
      if (row.state === 'scratch') return await this.#label(medium, row, pool);
      await this.#giveUpUnclosed(row);
      return await this.#toEnd(medium, row);
    } catch (error) {
      throw await this.#blame(barcode, error);
    }
  }

  /** A container of this run that begins at `start` is given up: the next one takes its place. */
  gaveUp(barcode: string, start: BlockAddress): void {
    this.#ours.set(barcode, start);
  }

  /** Remembers that `medium` stands right after a filemark of ours. */
  left(medium: Medium, at: BlockAddress): void {
    this.#known.set(medium, at);
  }

  /** A blank volume, or one that an operator has made scratch: what hsm did not write, or wrote on another cartridge, is not overwritten. */
  async #label(medium: Medium, row: VolumeRow, pool: string): Promise<VolumeRow> {
    const found = await readLabel(medium);
    if (found === null) {
      throw new HsmError('WRONG_VOLUME', `${row.barcode} holds data that hsm did not write: 'hsm tape format --force ${row.barcode}' destroys it`, { retry: 'other-copy' });
    }
    if (found !== 'blank') {
      await checkVolumeLabel(medium);
      // A volume gets another serial before it is written: what is behind this one was there when it became scratch.
      const wasReclaimed = row.serial !== null && found.serial === row.serial;
      await medium.locate(firstContainerAddress);
      if (!wasReclaimed && (await medium.readBlock(Buffer.allocUnsafe(tapeBlockSize))) !== 'end') throw newerThanCatalogue(row.barcode, firstContainerAddress);
    }
    const serial = await labelVolume(medium);
    const end = { endBlock: firstContainerAddress, used: (await medium.capacity()).used, serial };
    await this.#catalog.setVolume(row.barcode, { state: 'writable', pool, ...end });
    this.#known.set(medium, firstContainerAddress);
    return { ...row, state: 'writable', pool, ...end };
  }

  /** Containers still 'writing' belong to a run that died: nobody else writes to a volume that we hold. */
  async #giveUpUnclosed(row: VolumeRow): Promise<void> {
    for (const { id, state } of await this.#catalog.containers(row.barcode)) {
      if (state === 'writing') await this.#catalog.closeContainer(id, { state: 'void', bytes: 0, endBlock: row.endBlock, used: row.used });
    }
  }

  /** Resolves with the row as it is then: its end may have moved behind containers that were given up. */
  async #toEnd(medium: Medium, row: VolumeRow): Promise<VolumeRow> {
    const { barcode, endBlock, serial } = row;
    const known = this.#known.get(medium);
    if (known === endBlock && (await medium.position()) === endBlock) return row;
    if (known === undefined) await checkVolumeLabel(medium, serial);
    await medium.locate(endBlock - 1);
    const before = await medium.readBlock(Buffer.allocUnsafe(tapeBlockSize));
    const at = await medium.position();
    if (before !== 'filemark' || at !== endBlock) {
      const found = typeof before === 'string' ? before : 'a block';
      throw new HsmError('WRONG_VOLUME', `${barcode} has no filemark before block ${endBlock}, where its data should end, but ${found}`, { retry: 'other-copy' });
    }
    const free = await this.#behindGivenUp(medium, barcode, endBlock);
    this.#known.set(medium, free);
    if (free === endBlock) return row;
    const end = { endBlock: free, used: (await medium.capacity()).used };
    await this.#catalog.setVolume(barcode, end);
    return { ...row, ...end };
  }

  /**
   * Where appending begins, the medium standing there. It destroys what lies behind: well for a container of this run, and for one that was
   * given up and has no filemark, since nobody was ever told that it is durable. One with a filemark is left where it is: a newer catalogue
   * may count on it. What has no row at all was written under a newer catalogue, and files may have nothing but it.
   */
  async #behindGivenUp(medium: Medium, barcode: string, end: BlockAddress): Promise<BlockAddress> {
    const givenUp = new Set((await this.#catalog.containers(barcode)).filter(({ state }) => state === 'void').map(({ startBlock }) => startBlock));
    if (this.#ours.get(barcode) === end && givenUp.has(end)) {
      await medium.locate(end);
      return end;
    }
    let free = end;
    for await (const file of tapeFiles(medium, end)) {
      if (!givenUp.has(file.start)) throw newerThanCatalogue(barcode, file.start);
      if (file.ended) free = file.start + file.blocks + 1;
    }
    await medium.locate(free);
    return free;
  }

  /** What a failure of label or position says about the volume: errors of the disk, the library or the catalogue are not its fault. */
  async #blame(barcode: string, error: unknown): Promise<Error> {
    const message = error instanceof Error ? error.message : String(error);
    switch (errorCode(error)) {
      case 'EIO':
      case 'EINVAL':
      case 'ENOMEM':
      case 'WRONG_VOLUME':
        await this.suspect(barcode, message);
        return new VolumeRefused(barcode, message, error);
      case 'ENOSPC':
        await this.#catalog.setVolume(barcode, { state: 'full' });
        return this.#refuse(barcode, 'it is full', error);
      case 'EROFS':
        await this.#catalog.setVolume(barcode, { state: 'readonly', reason: 'write protected' });
        return this.#refuse(barcode, 'it is write protected', error);
      case 'NOT_LOADED':
      case 'EBUSY':
        return this.#refuse(barcode, message, error);
      default:
        return error instanceof Error ? error : new Error(message);
    }
  }

  #refuse(barcode: string, reason: string, cause?: unknown): VolumeRefused {
    this.avoid(barcode, reason);
    return new VolumeRefused(barcode, reason, cause);
  }

  #whyAvoided(): string {
    if (this.#avoided.size === 0) return '';
    return ` (passed over: ${[...this.#avoided].map(([barcode, reason]) => `${barcode}, ${reason}`).join('; ')})`;
  }
}

const newerThanCatalogue = (barcode: string, at: BlockAddress): HsmError =>
  new HsmError('WRONG_VOLUME', `${barcode} holds data at block ${at} that the catalogue knows nothing of: the catalogue is older than the volume`, { retry: 'other-copy' });

const byBarcode = (a: VolumeRow, b: VolumeRow): number => (a.barcode < b.barcode ? -1 : 1);
