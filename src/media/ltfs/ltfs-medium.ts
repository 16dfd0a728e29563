/** A volume of LTFS: the medium contract on folders of plain files (docs/decisions/0010-ltfs.md). */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, HsmError } from '../../errors.ts';
import { parseVolumeLabel } from '../format.ts';
import type { BlockAddress, Medium, WriteResult } from '../medium.ts';
import { ContainerInput } from './container-input.ts';
import { ContainerOutput } from './container-output.ts';
import { ltfsNames, makeFolders, volumeError } from './layout.ts';
import type { LtfsVolume } from './ltfs-volume.ts';
import { readMe } from './read-me.ts';
import { endOf, folderPath, readFolders, type TapeFolder } from './tape-file-table.ts';

const largestBlock = 2 ** 24 - 1;

/** LTFS must have room for its index, whatever happens, and loses accepted writes where it has none: `full` bytes are never used. */
const reserve = { share: 0.03, indexes: 3, bytesPerFile: 1024, least: 16 * 2 ** 20 } as const;

/** More files make an index that takes minutes to write and gigabytes of memory to hold. */
const files = { warning: 900_000, most: 1_000_000 } as const;

/** Blocks of a tape file that is cut in its middle are copied through memory: hsm itself never does that. */
const mostCopied = 64 * 2 ** 20;

/** The volume, at its beginning. A cartridge that LTFS cannot mount is a medium that fails with `EIO` until it is written from its beginning. */
export async function openLtfsMedium(volume: LtfsVolume, barcode: string): Promise<LtfsMedium> {
  const medium = new LtfsMedium(volume, barcode);
  await medium.takeStock();
  return medium;
}

/** What the kernel says of a mount whose ltfs is gone. */
const ltfsDied = (error: unknown): boolean => ['ENOTCONN', 'ECONNABORTED'].includes(errorCode(error));

interface Open {
  readonly number: number;
  readonly start: BlockAddress;
  readonly output: ContainerOutput;
}

export class LtfsMedium implements Medium {
  readonly barcode: string;
  readonly readBack = true as const;
  readonly #volume: LtfsVolume;
  #folders: TapeFolder[] = [];
  /** Holds what hsm did not write. */
  #foreign = false;
  #open: Open | null = null;
  #input: { readonly number: number; readonly container: ContainerInput } | null = null;
  #position: BlockAddress = 0;
  /** Why the tape file that was being written is not there; until the tape is moved there is none to go on with. */
  #lost: HsmError | null = null;
  #operation: Promise<unknown> | null = null;
  #loaded = true;
  /** Why nothing on it can be reached. */
  #failure: HsmError | null = null;
  #space = { capacity: 0, free: 0 };

  constructor(volume: LtfsVolume, barcode: string) {
    this.#volume = volume;
    this.barcode = barcode;
  }

  get writeProtected(): boolean {
    return this.#volume.readOnly;
  }

  get unreadable(): boolean {
    return this.#failure !== null;
  }

  get busy(): boolean {
    return this.#operation !== null;
  }

  /** What is on the mounted volume. */
  takeStock(): Promise<void> {
    return this.#exclusively('be looked at', () => this.#look());
  }

  async #look(): Promise<void> {
    this.#failure = this.#volume.failure;
    if (this.#failure !== null) return;
    this.#space = await this.#volume.space();
    try {
      const folders = await readFolders(this.#volume.root);
      this.#foreign = folders === null;
      this.#folders = folders ?? [];
    } catch (cause) {
      this.#failure = volumeError(cause, `the containers of ${this.barcode} cannot be listed`);
    }
  }

  /** Whoever asks knows of a failure before: what is written next is a new tape file. */
  position(): Promise<BlockAddress> {
    return this.#exclusively('tell the position', async () => {
      this.#lost = null;
      return this.#position;
    });
  }

  rewind(): Promise<void> {
    return this.#exclusively('rewind', async () => this.#moveTo(0));
  }

  locate(address: BlockAddress): Promise<void> {
    return this.#exclusively(`locate block ${address}`, async () => {
      this.#requireMounted();
      if (!Number.isSafeInteger(address) || address < 0) throw new HsmError('EINVAL', `${address} is not a block address`);
      if (address > this.#end) throw new HsmError('EINVAL', `block ${address} of ${this.barcode} is behind the end of data`);
      this.#moveTo(address);
    });
  }

  spaceFilemark(): Promise<BlockAddress | null> {
    return this.#exclusively('find the next filemark', async () => {
      this.#requireMounted();
      const folder = this.#folders.find((each) => each.ended && endOf(each) > this.#position);
      this.#moveTo(folder === undefined ? this.#end : endOf(folder));
      return folder === undefined ? null : this.#position;
    });
  }

  locateEnd(): Promise<BlockAddress> {
    return this.#exclusively('find the end of data', async () => {
      this.#requireMounted();
      this.#moveTo(this.#end);
      return this.#position;
    });
  }

  readBlock(into: Buffer): Promise<Buffer | 'filemark' | 'end'> {
    return this.#exclusively('read', async () => {
      const at = this.#position;
      try {
        return await this.#read(into);
      } catch (error) {
        if (!ltfsDied(error) || this.#open !== null) throw error;
        await this.#closeInput();
        await this.#volume.remount();
        await this.#look();
        this.#position = at;
        return this.#read(into);
      }
    });
  }

  writeBlock(data: Buffer): Promise<WriteResult> {
    return this.#exclusively('write', async () => {
      if (data.length < 1 || data.length > largestBlock) throw new HsmError('EINVAL', `a block of ${data.length} bytes: must be 1 to ${largestBlock}`);
      await this.#prepareToWrite(data.length);
      await this.#guarded(async ({ number, output }) => {
        await output.append(data);
        if (number === 0 && parseVolumeLabel(data) !== null) await writeFile(join(this.#volume.root, ltfsNames.readme), readMe(this.barcode));
      });
      this.#position += 1;
      return this.#writeResult();
    });
  }

  /** With `sync`, LTFS's index is on tape when it resolves; that the data is, too, is only known once it was read back. */
  writeFilemark({ sync }: { readonly sync: boolean }): Promise<WriteResult> {
    return this.#exclusively('write a filemark', async () => {
      await this.#prepareToWrite(0);
      await this.#settle(true);
      this.#position += 1;
      if (sync) await this.#volume.sync();
      this.#space = await this.#volume.space();
      return this.#writeResult();
    });
  }

  async capacity(): Promise<{ readonly capacity: number; readonly used: number }> {
    return this.#exclusively('tell its capacity', async () => {
      this.#requireMounted();
      this.#space = await this.#volume.space();
      return { capacity: this.#space.capacity, used: this.#end === 0 ? 0 : this.#space.capacity - this.#free };
    });
  }

  physicalPosition(): null {
    return null;
  }

  /** Waits for the operation under way, ends what was written and lets ltfs go. Every further call fails with `NOT_LOADED`. */
  async detach(): Promise<void> {
    if (!this.#loaded) return;
    this.#loaded = false;
    await Promise.allSettled([this.#operation]);
    // What is not behind a filemark need not survive.
    await Promise.allSettled([this.#settle(false)]);
    await this.#closeInput();
    await this.#volume.unmount();
  }

  async #read(into: Buffer): Promise<Buffer | 'filemark' | 'end'> {
    this.#requireMounted();
    if (this.#foreign && this.#position === 0) {
      this.#position = 1;
      return 'filemark';
    }
    if (this.#position >= this.#end) return 'end';
    await this.#settle(false);
    const folder = this.#folders.findLast(({ start }) => start <= this.#position)!;
    const number = this.#position - folder.start;
    if (number === folder.blocks) {
      this.#position += 1;
      return 'filemark';
    }
    const container = await this.#containerOf(folder.number);
    const size = container.blockSize(number);
    if (size === null) throw new HsmError('EIO', `tape file ${folder.number} of ${this.barcode} has fewer blocks than it should`, { retry: 'other-copy' });
    this.#position += 1;
    if (size > into.length) throw new HsmError('ENOMEM', `a block of ${this.barcode} has ${size} bytes, more than the ${into.length} asked for`);
    const block = into.subarray(0, size);
    await container.readBlock(number, block);
    return block;
  }

  get #end(): BlockAddress {
    if (this.#open !== null) return this.#open.start + this.#open.output.blocks;
    const last = this.#folders.at(-1);
    return last === undefined ? (this.#foreign ? 1 : 0) : endOf(last);
  }

  #moveTo(address: BlockAddress): void {
    this.#position = address;
    this.#lost = null;
  }

  async #prepareToWrite(bytes: number): Promise<void> {
    if (this.writeProtected) throw new HsmError('EROFS', `${this.barcode} is write protected`, { retry: 'other-copy' });
    if (this.#lost !== null) throw this.#lost;
    if (this.#position < this.#end || this.#failure !== null) await this.#truncate();
    if (bytes > 0) await this.#requireRoom(bytes);
    if (this.#open !== null) return;
    const last = this.#folders.at(-1);
    // Behind a tape file without a filemark there is no place for another one: it goes on.
    if (last?.ended === false) return this.#copyBlocks(last, last.blocks);
    await this.#begin(this.#folders.length);
  }

  /** The folder is a write, too: a volume that takes none says so here, before a block counts as written. */
  async #begin(number: number): Promise<void> {
    await makeFolders(this.#volume.root, ltfsNames.containers);
    const output = await ContainerOutput.create(folderPath(this.#volume.root, number));
    this.#open = { number, start: this.#end, output };
  }

  /** Everything from the position on goes. LTFS gives its room back only when the whole volume is made anew. */
  async #truncate(): Promise<void> {
    await this.#closeInput();
    if (this.#position === 0) return this.#format();
    this.#requireMounted();
    if (this.#foreign) throw new HsmError('EIO', `${this.barcode} holds what hsm did not write`, { retry: 'other-copy' });
    await this.#settle(false);
    const keeps = this.#folders.findLast(({ start }) => start < this.#position)!;
    for (const { number } of this.#folders.slice(keeps.number + 1).reverse()) await this.#remove(number);
    if (this.#position < endOf(keeps)) await this.#copyBlocks(keeps, this.#position - keeps.start);
  }

  async #format(): Promise<void> {
    await this.#open?.output.abandon();
    this.#open = null;
    await this.#volume.format();
    await this.#look();
  }

  async #remove(number: number): Promise<void> {
    this.#folders.length = number;
    await rm(folderPath(this.#volume.root, number), { recursive: true, force: true });
  }

  /** The last folder again, with its first `count` blocks and no filemark. */
  async #copyBlocks({ number }: TapeFolder, count: number): Promise<void> {
    const container = await this.#containerOf(number);
    const blocks: Buffer[] = [];
    let bytes = 0;
    for (let i = 0; i < count; i += 1) {
      const block = Buffer.allocUnsafeSlow(container.blockSize(i) ?? 0);
      bytes += block.length;
      if (bytes > mostCopied) throw new HsmError('EINVAL', `a large container of ${this.barcode} cannot be cut in its middle`);
      await container.readBlock(i, block);
      blocks.push(block);
    }
    await this.#closeInput();
    await this.#remove(number);
    await this.#begin(number);
    for (const block of blocks) await this.#guarded(({ output }) => output.append(block));
  }

  /** The tape file that is being written becomes one that can be read. */
  async #settle(ended: boolean): Promise<void> {
    if (this.#open === null) return;
    await this.#guarded(async ({ number, start, output }) => {
      await output.end(ended);
      this.#folders.push({ number, start, blocks: output.blocks, ended, members: output.files });
      this.#open = null;
    });
  }

  /** After a failure there is no telling what of the open tape file LTFS has: nothing of it counts. */
  async #guarded(action: (open: Open) => Promise<void>): Promise<void> {
    const open = this.#open!;
    try {
      await action(open);
    } catch (cause) {
      this.#open = null;
      this.#position = this.#end;
      const error = volumeError(cause, `${this.barcode} failed to take a container`);
      // A volume that is full sooner than it said is full, not bad.
      this.#lost = new HsmError(error.code === 'ENOSPC' ? 'ENOSPC' : 'EIO', `${error.message}; what it had of it is given up`, { retry: 'other-copy', cause });
      await open.output.abandon();
      throw error;
    }
  }

  async #requireRoom(bytes: number): Promise<void> {
    this.#space = await this.#volume.space();
    if (this.#free - bytes >= this.#reserve / 2 && this.#fileCount < files.most) return;
    throw new HsmError('ENOSPC', `${this.barcode} is full: the rest is for LTFS's index`, { retry: 'other-copy' });
  }

  /** What has no place on the volume yet will take some. */
  get #free(): number {
    return this.#space.free - (this.#open?.output.held ?? 0);
  }

  get #fileCount(): number {
    return this.#folders.reduce((sum, { members }) => sum + members, this.#open?.output.files ?? 0);
  }

  get #reserve(): number {
    return Math.max(reserve.share * this.#space.capacity, reserve.indexes * reserve.bytesPerFile * this.#fileCount, reserve.least);
  }

  #writeResult(): WriteResult {
    return { earlyWarning: this.#free < this.#reserve || this.#fileCount >= files.warning };
  }

  async #containerOf(number: number): Promise<ContainerInput> {
    if (this.#input?.number === number) return this.#input.container;
    await this.#closeInput();
    const container = await ContainerInput.open(folderPath(this.#volume.root, number));
    this.#input = { number, container };
    return container;
  }

  async #closeInput(): Promise<void> {
    const input = this.#input;
    this.#input = null;
    await Promise.allSettled([input?.container.close()]);
  }

  #requireMounted(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  async #exclusively<T>(what: string, action: () => Promise<T>): Promise<T> {
    if (!this.#loaded) throw new HsmError('NOT_LOADED', `${this.barcode} is not in the drive any more`, { retry: 'later' });
    if (this.#operation !== null) throw new HsmError('EBUSY', `${this.barcode} is busy with another operation`, { retry: 'later' });
    const operation = action();
    this.#operation = operation;
    try {
      return await operation;
    } catch (cause) {
      throw volumeError(cause, `${this.barcode} failed to ${what}`);
    } finally {
      this.#operation = null;
    }
  }
}
