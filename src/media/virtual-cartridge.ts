/** A loaded virtual cartridge: a SIMH .tap that obeys tape's rules. */
import { HsmError } from '../errors.ts';
import type { CartridgeFiles, CartridgeRecord } from './cartridge-record.ts';
import { readCartridgeRecord, writeCartridgeRecord } from './cartridge-record.ts';
import type { BlockAddress, Medium, WriteResult } from './medium.ts';
import { tapLength, tapMarkLength, tapMarkers, tapMaxBlock, tapObject, tapSize } from './tap.ts';
import type { TapFile } from './tap-file.ts';
import { openTapFile } from './tap-file.ts';
import type { TapIndex } from './tap-index.ts';
import { TapIndexCache } from './tap-index-cache.ts';
import { scanTap } from './tap-scan.ts';

/** What the movement of tape costs; the drive's timing model implements it. Offsets are bytes from the beginning of the tape. */
export interface Mechanics {
  locate(from: number, to: number): Promise<void>;
  stream(direction: 'read' | 'write', bytes: number): Promise<void>;
  /** A synchronous filemark: the buffer runs empty and the tape stops. */
  flush(): Promise<void>;
  physicalPosition(offset: number): { readonly wrap: number; readonly lpos: number };
}

export interface CartridgeOptions {
  /** null: movement takes no time. */
  readonly mechanics?: ((record: CartridgeRecord) => Mechanics) | null;
  /** Tests put a failing file here. */
  readonly openFile?: typeof openTapFile;
}

/**
 * Opens a cartridge at its beginning and counts the load. Fails with `EIO` (retry 'other-copy') when a file of it is
 * missing or unreadable. The end of data is the last whole object: what a crash tore off behind it is not there.
 */
export async function loadVirtualCartridge(files: CartridgeFiles, options: CartridgeOptions = {}): Promise<VirtualCartridge> {
  const found = await readCartridgeRecord(files.record);
  const record = { ...found, loads: found.loads + 1, lastLoaded: new Date().toISOString() };
  const openFile = options.openFile ?? openTapFile;
  const file = await openFile(files.tap, record.writeProtect ? 'read' : 'write').catch((cause: unknown) => {
    throw hostError(cause, `cannot open ${files.tap}`, files.tap);
  });
  try {
    const cache = new TapIndexCache(files.index);
    const { index, durable } = await cache.load(file);
    await scanTap(file, index);
    await writeCartridgeRecord(files.record, record);
    const mechanics = options.mechanics?.(record) ?? null;
    return new VirtualCartridge({ files, record, file, cache, index, mechanics, durable: Math.max(durable, record.end) });
  } catch (error) {
    await file.close();
    throw error instanceof HsmError ? error : hostError(error, `cannot load ${files.tap}`, files.tap);
  }
}

/** The kernel is asked to write back after so many bytes, so that a synchronous filemark finds little left to do. */
const writebackEvery = 64 * 2 ** 20;

interface Loaded {
  readonly files: CartridgeFiles;
  readonly record: CartridgeRecord;
  readonly file: TapFile;
  readonly cache: TapIndexCache;
  readonly index: TapIndex;
  readonly mechanics: Mechanics | null;
  /** File offset up to which the .tap was durable once. */
  readonly durable: number;
}

export class VirtualCartridge implements Medium {
  readonly #files: CartridgeFiles;
  readonly #file: TapFile;
  readonly #cache: TapIndexCache;
  readonly #index: TapIndex;
  readonly #mechanics: Mechanics | null;
  readonly #marker = Buffer.alloc(tapMarkLength);
  /** Padding byte and trailing marker of a block. */
  readonly #trailer = Buffer.alloc(1 + tapMarkLength);
  #record: CartridgeRecord;
  #position: BlockAddress = 0;
  /** Up to here a synchronous filemark, or the last unload, made the .tap durable. */
  #durable: number;
  /** The file may hold bytes behind the end of data: they go before anything is appended. */
  #tail = true;
  #dirty: boolean;
  #written = 0;
  #read = 0;
  #writeback: Promise<void> | null = null;
  #sinceWriteback = 0;
  /** Set when it is unknown what the file holds behind #durable; nothing is written any more. */
  #broken: HsmError | null = null;
  #loaded = true;
  #operation: Promise<unknown> | null = null;

  constructor(loaded: Loaded) {
    this.#files = loaded.files;
    this.#record = loaded.record;
    this.#file = loaded.file;
    this.#cache = loaded.cache;
    this.#index = loaded.index;
    this.#mechanics = loaded.mechanics;
    this.#durable = loaded.durable;
    this.#dirty = loaded.index.endOffset > loaded.durable;
  }

  get barcode(): string {
    return this.#record.barcode;
  }

  get writeProtected(): boolean {
    return this.#record.writeProtect;
  }

  get record(): CartridgeRecord {
    return { ...this.#record, bytesWritten: this.#record.bytesWritten + this.#written, bytesRead: this.#record.bytesRead + this.#read };
  }

  /** True while an operation is under way; another one would fail with `EBUSY`. */
  get busy(): boolean {
    return this.#operation !== null;
  }

  /** File offset up to which the .tap survives a power cut. */
  get durable(): number {
    return this.#durable;
  }

  async position(): Promise<BlockAddress> {
    this.#requireLoaded();
    return this.#position;
  }

  rewind(): Promise<void> {
    return this.#exclusively(() => this.#moveTo(0));
  }

  locate(address: BlockAddress): Promise<void> {
    return this.#exclusively(async () => {
      if (!Number.isSafeInteger(address) || address < 0) throw new HsmError('EINVAL', `${address} is not a block address`);
      if (address > this.#index.endAddress) {
        if (this.#lost) throw this.#lostError(address);
        throw new HsmError('EINVAL', `block ${address} of ${this.barcode} is behind the end of data at ${this.#index.endAddress}`);
      }
      await this.#moveTo(address);
    });
  }

  spaceFilemark(): Promise<BlockAddress | null> {
    return this.#exclusively(async () => {
      const filemark = this.#index.nextOf(tapMarkers.filemark, this.#position);
      if (filemark === null && this.#lost) throw this.#lostError(this.#index.endAddress);
      await this.#moveTo(filemark === null ? this.#index.endAddress : filemark + 1);
      return filemark === null ? null : this.#position;
    });
  }

  locateEnd(): Promise<BlockAddress> {
    return this.#exclusively(async () => {
      if (this.#lost) throw this.#lostError(this.#index.endAddress);
      await this.#moveTo(this.#index.endAddress);
      return this.#position;
    });
  }

  readBlock(into: Buffer): Promise<Buffer | 'filemark' | 'end'> {
    return this.#exclusively(() => this.#readObject(into));
  }

  writeBlock(data: Buffer): Promise<WriteResult> {
    return this.#exclusively(async () => {
      if (data.length < 1 || data.length > tapMaxBlock) throw new HsmError('EINVAL', `a block of ${data.length} bytes: must be 1 to ${tapMaxBlock}`);
      this.#marker.writeUInt32LE(data.length, 0);
      this.#trailer.writeUInt32LE(data.length, 1);
      await this.#append(data.length, [this.#marker, data, this.#trailer.subarray(1 - (data.length & 1))]);
      await this.#mechanics?.stream('write', data.length);
      this.#written += data.length;
      if (this.#sinceWriteback >= writebackEvery) this.#startWriteback();
      return this.#writeResult();
    });
  }

  writeFilemark(options: { readonly sync: boolean }): Promise<WriteResult> {
    return this.#exclusively(async () => {
      this.#marker.writeUInt32LE(tapMarkers.filemark, 0);
      await this.#append(tapMarkers.filemark, [this.#marker]);
      if (options.sync) {
        await this.#flush();
        await this.#mechanics?.flush();
      }
      return this.#writeResult();
    });
  }

  async capacity(): Promise<{ readonly capacity: number; readonly used: number }> {
    this.#requireLoaded();
    return { capacity: this.#record.capacity, used: this.#index.endOffset };
  }

  physicalPosition(address: BlockAddress): { readonly wrap: number; readonly lpos: number } | null {
    return this.#mechanics?.physicalPosition(this.#index.offsetOf(address)) ?? null;
  }

  /**
   * Waits for the operation under way, makes what was written durable, keeps the wear, and closes; every further call
   * fails with `NOT_LOADED`. Fails with `EIO` when what followed the last synchronous filemark could not be made durable; it is cut off then.
   */
  async unload(): Promise<void> {
    if (!this.#loaded) return;
    this.#loaded = false;
    await this.#operation?.catch(() => undefined);
    try {
      await this.#flush();
    } catch (error) {
      await this.#cutUndurable();
      throw error;
    } finally {
      await this.#file.close();
      await writeCartridgeRecord(this.#files.record, { ...this.record, end: this.#durable });
    }
  }

  /** As if the process had died here: nothing is flushed or kept. */
  async abandon(): Promise<void> {
    this.#loaded = false;
    await this.#operation?.catch(() => undefined);
    await this.#writeback;
    await this.#file.close();
  }

  /** The file holds less than was durable once. */
  get #lost(): boolean {
    return this.#index.endOffset < this.#durable;
  }

  #lostError(address: BlockAddress): HsmError {
    return this.#failure('EIO', `block ${address} of ${this.barcode} cannot be read: the tape is damaged behind block ${this.#index.endAddress}`);
  }

  #failure(code: string, message: string, cause?: unknown): HsmError {
    return new HsmError(code, message, { retry: 'other-copy', path: this.#files.tap, cause });
  }

  #requireLoaded(): void {
    if (!this.#loaded) throw new HsmError('NOT_LOADED', `${this.barcode} is no longer in this drive`, { retry: 'later' });
  }

  async #exclusively<T>(run: () => Promise<T>): Promise<T> {
    this.#requireLoaded();
    if (this.#operation !== null) throw new HsmError('EBUSY', `${this.barcode} is in use by another caller`, { retry: 'later' });
    const operation = run();
    this.#operation = operation;
    try {
      return await operation;
    } catch (error) {
      throw error instanceof HsmError ? error : hostError(error, `${this.barcode} failed`, this.#files.tap);
    } finally {
      this.#operation = null;
    }
  }

  async #moveTo(address: BlockAddress): Promise<void> {
    if (this.#mechanics !== null) await this.#mechanics.locate(this.#index.offsetOf(this.#position), this.#index.offsetOf(address));
    this.#position = address;
  }

  async #readObject(into: Buffer): Promise<Buffer | 'filemark' | 'end'> {
    const address = this.#position;
    if (address >= this.#index.endAddress) {
      if (this.#lost) throw this.#lostError(address);
      return 'end';
    }
    const marker = this.#index.markerAt(address);
    const offset = this.#index.offsetOf(address);
    const object = tapObject(marker);
    if (object === 'filemark') {
      await this.#expectMarkers([this.#marker], offset, marker);
      this.#position = address + 1;
      return 'filemark';
    }
    const length = tapLength(marker);
    this.#position = address + 1;
    if (object === 'bad-block') throw this.#failure('EIO', `block ${address} of ${this.barcode} is marked as unreadable`);
    if (length > into.length) throw new HsmError('ENOMEM', `block ${address} of ${this.barcode} has ${length} bytes, more than the ${into.length} asked for`);
    const data = into.subarray(0, length);
    const trailer = this.#trailer.subarray(1 - (length & 1));
    await this.#expectMarkers([this.#marker, data, trailer], offset, marker);
    await this.#mechanics?.stream('read', length);
    this.#read += length;
    return data;
  }

  /** Reads one object and compares the markers at both of its ends. */
  async #expectMarkers(buffers: readonly Buffer[], offset: number, marker: number): Promise<void> {
    const read = await this.#file.read(buffers, offset);
    const last = buffers.at(-1) ?? this.#marker;
    if (read === tapSize(marker) && this.#marker.readUInt32LE(0) === marker && last.readUInt32LE(last.length - tapMarkLength) === marker) return;
    throw this.#failure('EIO', `${this.barcode} is damaged at byte ${offset}: the markers around the block are not those that were written`);
  }

  async #append(marker: number, buffers: readonly Buffer[]): Promise<void> {
    if (this.writeProtected) throw new HsmError('EROFS', `${this.barcode} is write protected`, { path: this.#files.tap });
    if (this.#broken !== null) throw this.#broken;
    const offset = this.#index.offsetOf(this.#position);
    if (offset + tapSize(marker) > this.#record.capacity) throw this.#failure('ENOSPC', `${this.barcode} is full`);
    if (this.#tail || this.#position < this.#index.endAddress) await this.#truncate(offset);
    this.#dirty = true;
    try {
      await this.#file.write(buffers, offset);
    } catch (error) {
      await this.#takeBack(offset);
      throw error;
    }
    this.#index.push(marker);
    this.#position = this.#index.endAddress;
    this.#sinceWriteback += tapSize(marker);
  }

  #writeResult(): WriteResult {
    return { earlyWarning: this.#index.endOffset > this.#record.capacity - this.#record.margin };
  }

  /**
   * Durably drops everything from the position on. What claims that more is durable goes first, so that a crash in
   * between leaves a tape that holds more than is claimed, never less.
   */
  async #truncate(offset: number): Promise<void> {
    if (offset < this.#durable) {
      this.#record = { ...this.#record, end: offset };
      await writeCartridgeRecord(this.#files.record, this.#record);
      await this.#cache.drop();
      this.#durable = offset;
    }
    this.#tail = true;
    this.#index.truncate(this.#position);
    if ((await this.#file.size()) > offset) {
      await this.#file.truncate(offset);
      await this.#sync();
    }
    this.#tail = false;
  }

  /** A block that failed half-way is not on the tape. */
  async #takeBack(offset: number): Promise<void> {
    try {
      await this.#file.truncate(offset);
    } catch {
      this.#tail = true;
    }
  }

  #startWriteback(): void {
    this.#sinceWriteback = 0;
    this.#writeback ??= this.#sync()
      .catch(() => undefined)
      .finally(() => {
        this.#writeback = null;
      });
  }

  /** fdatasync(2) tells an error once and forgets it: after one, no later success says anything about the data before it. */
  async #sync(): Promise<void> {
    try {
      await this.#file.sync();
    } catch (error) {
      this.#broken ??= hostError(error, `${this.barcode} could not be made durable and must be loaded again`, this.#files.tap);
      throw this.#broken;
    }
  }

  async #flush(): Promise<void> {
    await this.#writeback;
    if (this.#broken !== null) throw this.#broken;
    if (!this.#dirty) return;
    await this.#sync();
    this.#dirty = false;
    this.#sinceWriteback = 0;
    this.#durable = this.#index.endOffset;
    await this.#cache.extend(this.#index).catch(() => undefined);
  }

  async #cutUndurable(): Promise<void> {
    try {
      await this.#file.truncate(Math.min(this.#durable, this.#index.endOffset));
      await this.#file.sync();
    } catch {
      // The next load takes what it finds; the catalogue counts only what a synchronous filemark confirmed.
    }
  }
}

/** An error of the disk under the tape. A full disk is not a full tape: the next volume would fare no better. */
function hostError(cause: unknown, message: string, path: string): HsmError {
  const error = cause as NodeJS.ErrnoException;
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    return new HsmError('LIBRARY_FULL', `${message}: no space left on the disk that holds the library`, { retry: 'later', path, cause });
  }
  return new HsmError('EIO', `${message}: ${error.message}`, { retry: 'other-copy', path, cause });
}
