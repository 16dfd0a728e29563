/** A volume in a real tape drive, through the st driver: the medium contract on what st(4) does. */
import { errorCode, HsmError } from '../../errors.ts';
import type { BlockAddress, Medium, WriteResult } from '../medium.ts';
import { FileAddressing, LogicalAddressing, readObject, type Addressing } from './addressing.ts';
import type { TapeDevice } from './tape-device.ts';

export interface StMediumOptions {
  readonly barcode: string;
  /** Bytes that the volume holds, by its generation. */
  readonly capacity: number;
  /** Blocks longer than this are refused; the drive and the adapter may allow less (READ BLOCK LIMITS). */
  readonly largestBlock: number;
}

/**
 * The volume that is in the drive, rewound. How the drive tells positions is found out by asking it. Fails with `EIO` when it does not
 * rewind.
 */
export async function openStMedium(device: TapeDevice, options: StMediumOptions): Promise<StMedium> {
  try {
    await device.operation('MTREW', 1);
    const { writeProtected } = await device.status();
    return new StMedium(device, await addressing(device), { ...options, writeProtected });
  } catch (cause) {
    throw failure(cause, `${options.barcode} cannot be rewound`);
  }
}

async function addressing(device: TapeDevice): Promise<Addressing> {
  try {
    return new LogicalAddressing(device, await device.position());
  } catch (error) {
    if (errorCode(error) !== 'EIO') throw error;
    return new FileAddressing(device);
  }
}

export class StMedium implements Medium {
  readonly barcode: string;
  readonly writeProtected: boolean;
  readonly #device: TapeDevice;
  readonly #addressing: Addressing;
  readonly #capacity: number;
  readonly #largestBlock: number;
  #operation: Promise<unknown> | null = null;
  #loaded = true;
  /** Early warning was met since the tape was last moved. */
  #warned = false;
  /** Where the end of data was last seen. */
  #end = 0;
  /** Where the next block goes, once asked for; null after any other motion. Filemarks ask again. */
  #next: BlockAddress | null = null;

  constructor(device: TapeDevice, addresses: Addressing, options: StMediumOptions & { readonly writeProtected: boolean }) {
    this.barcode = options.barcode;
    this.writeProtected = options.writeProtected;
    this.#device = device;
    this.#addressing = addresses;
    this.#capacity = options.capacity;
    this.#largestBlock = options.largestBlock;
  }

  /** True while an operation is under way; another one would fail with `EBUSY`. */
  get busy(): boolean {
    return this.#operation !== null;
  }

  position(): Promise<BlockAddress> {
    return this.#exclusively('tell the position', () => this.#addressing.position());
  }

  rewind(): Promise<void> {
    return this.#exclusively('rewind', () => this.#moveTo(0));
  }

  locate(address: BlockAddress): Promise<void> {
    return this.#exclusively(`locate block ${address}`, async () => {
      if (!Number.isSafeInteger(address) || address < 0) throw new HsmError('EINVAL', `${address} is not a block address`);
      await this.#moveTo(address);
    });
  }

  locateEnd(): Promise<BlockAddress> {
    return this.#exclusively('find the end of data', async () => {
      this.#moving();
      this.#end = await this.#addressing.locateEnd();
      return this.#end;
    });
  }

  spaceFilemark(): Promise<BlockAddress | null> {
    return this.#exclusively('find the next filemark', async () => {
      this.#moving();
      return this.#addressing.spaceFilemark();
    });
  }

  readBlock(into: Buffer): Promise<Buffer | 'filemark' | 'end'> {
    return this.#exclusively('read', async () => {
      await this.#addressing.settle();
      this.#next = null;
      const found = await this.#read(into);
      if (found === 'end') {
        this.#addressing.endReached();
        return found;
      }
      await this.#addressing.passed(found === 'filemark' ? 'filemark' : 'block', 'read');
      if (found === 'too-long') throw new HsmError('ENOMEM', `a block of ${this.barcode} is longer than the buffer of ${into.length} bytes`);
      return found === 'filemark' ? found : into.subarray(0, found);
    });
  }

  writeBlock(data: Buffer): Promise<WriteResult> {
    return this.#exclusively('write', async () => {
      if (data.length < 1 || data.length > this.#largestBlock) throw new HsmError('EINVAL', `a block of ${data.length} bytes: must be 1 to ${this.#largestBlock}`);
      this.#requireWritable();
      const here = this.#next ?? (await this.#addressing.position());
      const written = await this.#write(data, here);
      if (written !== data.length) throw new HsmError('EIO', `the drive took ${written} of ${data.length} bytes of a block`, { retry: 'other-copy' });
      return this.#passed('block', here + 1);
    });
  }

  writeFilemark(options: { readonly sync: boolean }): Promise<WriteResult> {
    return this.#exclusively('write a filemark', async () => {
      this.#requireWritable();
      const here = this.#next ?? (await this.#addressing.position());
      await this.#mark(options.sync);
      const result = await this.#passed('filemark', here + 1);
      const reached = await this.#addressing.position();
      if (reached === here + 1) return result;
      throw new HsmError('EIO', `${this.barcode} is at block ${reached} instead of ${here + 1}: what was written last cannot be trusted`, { retry: 'other-copy' });
    });
  }

  /** The drive counts in objects: `used` takes each for a block of the tape format's size, which all but the label are. */
  async capacity(): Promise<{ readonly capacity: number; readonly used: number }> {
    this.#requireLoaded();
    return { capacity: this.#capacity, used: Math.min(this.#capacity, this.#end * 2 ** 20) };
  }

  physicalPosition(): null {
    return null;
  }

  /** Waits for the operation under way; every further call fails with `NOT_LOADED`. The device stays open. */
  async detach(): Promise<void> {
    this.#loaded = false;
    await this.#operation?.catch(() => undefined);
  }

  async #read(into: Buffer): ReturnType<typeof readObject> {
    try {
      return await readObject(this.#device, into, this.#addressing.endsAtWarning);
    } catch (error) {
      if (errorCode(error) === 'EIO' && (await this.#addressing.failedAtEnd().catch(() => false))) return 'end';
      throw error;
    }
  }

  #moving(): void {
    this.#warned = false;
    this.#next = null;
  }

  async #moveTo(address: BlockAddress): Promise<void> {
    this.#moving();
    if (await this.#addressing.locate(address)) return;
    throw new HsmError('EINVAL', `block ${address} of ${this.barcode} is behind the end of data`);
  }

  /**
   * At early warning the driver refuses every second write, with nothing sent: asked again, it writes until the physical end of the tape.
   * Some drives say EIO there.
   */
  async #write(data: Buffer, here: BlockAddress): Promise<number> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#device.write(data);
      } catch (error) {
        const full = errorCode(error) === 'ENOSPC' || (errorCode(error) === 'EIO' && (await this.#atWarning()));
        if (!full) throw error;
        this.#warned = true;
        if (attempt < 2) continue;
        await this.#backTo(here);
        throw new HsmError('ENOSPC', `${this.barcode} is full`, { retry: 'other-copy', cause: error });
      }
    }
  }

  async #atWarning(): Promise<boolean> {
    const { earlyWarning, endOfData } = await this.#device.status();
    return this.#warned || earlyWarning || endOfData;
  }

  /** What was refused may have left a torn block behind: the next write goes over it. */
  async #backTo(here: BlockAddress): Promise<void> {
    this.#addressing.lost();
    if (await this.#addressing.locate(here)) return;
    throw new HsmError('EIO', `${this.barcode} lost its end of data when it was full`, { retry: 'other-copy' });
  }

  /** Immediate filemarks keep the drive streaming; drives without them get ordinary ones. */
  async #mark(sync: boolean): Promise<void> {
    if (!sync) {
      try {
        return await this.#device.operation('MTWEOFI', 1);
      } catch (error) {
        if (!['EINVAL', 'ENOSYS'].includes(errorCode(error))) throw error;
      }
    }
    await this.#device.operation('MTWEOF', 1);
  }

  async #passed(object: 'block' | 'filemark', next: BlockAddress): Promise<WriteResult> {
    this.#warned ||= (await this.#device.status()).earlyWarning;
    await this.#addressing.passed(object, 'written');
    this.#end = next;
    this.#next = next;
    return { earlyWarning: this.#warned };
  }

  #requireLoaded(): void {
    if (!this.#loaded) throw new HsmError('NOT_LOADED', `${this.barcode} is not in the drive any more`, { retry: 'later' });
  }

  #requireWritable(): void {
    if (this.writeProtected) throw new HsmError('EROFS', `${this.barcode} is write protected`, { retry: 'other-copy' });
  }

  async #exclusively<T>(what: string, action: () => Promise<T>): Promise<T> {
    this.#requireLoaded();
    if (this.#operation !== null) throw new HsmError('EBUSY', `${this.barcode} is busy with another operation`, { retry: 'later' });
    const operation = action();
    this.#operation = operation;
    try {
      return await operation;
    } catch (error) {
      this.#next = null;
      if (error instanceof HsmError) throw error;
      this.#addressing.lost();
      throw failure(error, `${this.barcode} failed to ${what}`);
    } finally {
      this.#operation = null;
    }
  }
}

/** The driver's error, as the medium contract has them. */
function failure(cause: unknown, what: string): HsmError {
  if (cause instanceof HsmError) return cause;
  const code = errorCode(cause);
  if (code === 'ENOSPC') return new HsmError('ENOSPC', `${what}: the volume is full`, { retry: 'other-copy', cause });
  if (code === 'EACCES' || code === 'EROFS') return new HsmError('EROFS', `${what}: it is write protected`, { retry: 'other-copy', cause });
  if (code === 'EBUSY') return new HsmError('EBUSY', `${what}: the drive is in use`, { retry: 'later', cause });
  return new HsmError('EIO', `${what}: ${code}`, { retry: 'other-copy', cause });
}
