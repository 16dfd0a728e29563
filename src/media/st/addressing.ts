/** Block addresses on a drive: asked for where the drive tells them, worked out from filemarks where it does not. */
import { errorCode, HsmError } from '../../errors.ts';
import type { BlockAddress } from '../medium.ts';
import type { TapeDevice } from './tape-device.ts';

/** All methods fail with the driver's errno errors. Whoever moves the tape by other means says so. */
export interface Addressing {
  /** A read at early warning met the end of data: so do drives without READ POSITION say it of a blank tape, with scrap for data. */
  readonly endsAtWarning: boolean;
  /** The address of the next object, asked for. */
  position(): Promise<BlockAddress>;
  /** Makes sure, at no cost where nothing has failed, that the tape is where position() would say. */
  settle(): Promise<void>;
  /** False, wherever the tape is then, when the address is behind the end of data. */
  locate(address: BlockAddress): Promise<boolean>;
  locateEnd(): Promise<BlockAddress>;
  /** Behind the next filemark; null at the end of data. */
  spaceFilemark(): Promise<BlockAddress | null>;
  /** An object was read or written. */
  passed(object: 'block' | 'filemark', how: 'read' | 'written'): Promise<void>;
  /** A read met the end of data. */
  endReached(): void;
  /**
   * Whether a read that failed with EIO did so because nothing is there: behind a block, and after a locate, that is all that the driver makes of a
   * blank check. The tape is at the end of data then.
   */
  failedAtEnd(): Promise<boolean>;
  /** Something failed. */
  lost(): void;
}

/** READ POSITION and LOCATE, as every drive of the last thirty years has them. */
export class LogicalAddressing implements Addressing {
  readonly endsAtWarning = false;
  readonly #device: TapeDevice;
  /** Where the next object is, by the drive's word and what passed since. Null after a failure: nobody knows what that passed. */
  #next: BlockAddress | null;

  /** `next`: where the drive says that it is. */
  constructor(device: TapeDevice, next: BlockAddress) {
    this.#device = device;
    this.#next = next;
  }

  async position(): Promise<BlockAddress> {
    this.#next = await this.#device.position();
    return this.#next;
  }

  async settle(): Promise<void> {
    // The drive knows.
  }

  async locate(address: BlockAddress): Promise<boolean> {
    if ((await this.position()) === address) return true;
    try {
      await this.#device.operation('MTSEEK', address);
    } catch (error) {
      // Either the address is behind the end of data, which the drive reports as a blank check, or the tape is bad.
      if (address > (await this.locateEnd())) return false;
      throw error;
    }
    const reached = await this.position();
    if (reached === address) return true;
    if (address > (await this.locateEnd())) return false;
    throw new HsmError('EIO', `the drive stopped at block ${reached} instead of ${address}`, { retry: 'other-copy' });
  }

  async locateEnd(): Promise<BlockAddress> {
    this.lost();
    await this.#device.operation('MTEOM', 1);
    return this.position();
  }

  async spaceFilemark(): Promise<BlockAddress | null> {
    this.lost();
    try {
      await this.#device.operation('MTFSF', 1);
      return await this.position();
    } catch (error) {
      const stopped = await this.position();
      if (stopped === (await this.locateEnd())) return null;
      throw error;
    }
  }

  async passed(): Promise<void> {
    if (this.#next !== null) this.#next += 1;
  }

  endReached(): void {
    // The drive knows.
  }

  /** A last block that cannot be read is not the end: the tape must have been at the end before the read. */
  async failedAtEnd(): Promise<boolean> {
    const before = this.#next;
    if (before === null || (await this.position()) !== before) return false;
    return (await this.locateEnd()) === before;
  }

  lost(): void {
    this.#next = null;
  }
}

/**
 * For drives without READ POSITION, virtual ones mostly: addresses are counted from the beginning and compared with the driver's own file
 * and block numbers after every step. Slow, and right: after a failure those numbers are worth nothing, so the tape is rewound.
 */
export class FileAddressing implements Addressing {
  readonly endsAtWarning = true;
  readonly #device: TapeDevice;
  /** The address at which tape file i begins, as far as it is known. */
  #starts: BlockAddress[] = [0];
  #end: BlockAddress | null = null;
  /** Where the tape is; null: it must be rewound, and brought to #wanted. */
  #here: { readonly file: number; readonly address: BlockAddress } | null = null;
  #wanted: BlockAddress = 0;
  /** Blocks are passed by reads that are too short for them (ENOMEM). */
  readonly #scrap = Buffer.allocUnsafeSlow(512);

  constructor(device: TapeDevice) {
    this.#device = device;
  }

  async position(): Promise<BlockAddress> {
    await this.settle();
    return this.#here?.address ?? 0;
  }

  async settle(): Promise<void> {
    if (this.#here === null) await this.#travel(this.#wanted);
  }

  async locate(address: BlockAddress): Promise<boolean> {
    if (this.#end !== null && address > this.#end) return false;
    await this.#travel(address);
    return this.#here?.address === address;
  }

  async locateEnd(): Promise<BlockAddress> {
    if (this.#end === null) await this.#travel(Number.POSITIVE_INFINITY);
    const end = this.#end ?? 0;
    await this.#travel(end);
    return end;
  }

  async spaceFilemark(): Promise<BlockAddress | null> {
    await this.settle();
    for (;;) {
      const found = await this.#readOne();
      if (found === 'filemark') return this.position();
      if (found === 'block') continue;
      await this.locateEnd();
      return null;
    }
  }

  async passed(object: 'block' | 'filemark', how: 'read' | 'written'): Promise<void> {
    if (this.#here === null) throw new Error('the position was not known');
    const { file, address } = this.#here;
    const next = { file: object === 'filemark' ? file + 1 : file, address: address + 1 };
    if (how === 'written') {
      this.#end = null;
      this.#starts.length = file + 1;
    }
    if (object === 'filemark') this.#starts[next.file] = next.address;
    const { file: driversFile, block } = await this.#device.status();
    const expected = next.address - (this.#starts[next.file] ?? 0);
    if (driversFile === next.file && block === expected) {
      this.#here = next;
      return;
    }
    this.lost();
    throw new HsmError('EIO', `the drive is at file ${driversFile}, block ${block} instead of file ${next.file}, block ${expected}`, { retry: 'other-copy' });
  }

  endReached(): void {
    this.#end = this.#here?.address ?? null;
    this.#here = null;
    this.#wanted = this.#end ?? 0;
  }

  /** Drives of this kind tell the end in their flags. */
  async failedAtEnd(): Promise<boolean> {
    return false;
  }

  lost(): void {
    this.#here = null;
    this.#wanted = 0;
  }

  /** To the address, or to the end of data where that comes first: then the tape has run into it and must go back. */
  async #travel(address: BlockAddress): Promise<void> {
    if (this.#here === null || address < this.#here.address) {
      this.lost();
      await this.#device.operation('MTREW', 1);
      this.#here = { file: 0, address: 0 };
    }
    for (let here = this.#here; here.address < address; here = this.#here) {
      const nextFile = this.#starts[here.file + 1];
      if (nextFile !== undefined && nextFile <= address) await this.#skipFile(here.file + 1, nextFile);
      else if ((await this.#readOne()) === 'end') return;
    }
  }

  async #skipFile(file: number, address: BlockAddress): Promise<void> {
    await this.#device.operation('MTFSF', 1);
    this.#here = { file, address };
  }

  async #readOne(): Promise<'block' | 'filemark' | 'end'> {
    const found = await readObject(this.#device, this.#scrap, this.endsAtWarning);
    if (found === 'end') this.endReached();
    else await this.passed(found === 'filemark' ? 'filemark' : 'block', 'read');
    return found === 'end' || found === 'filemark' ? found : 'block';
  }
}

/**
 * Reads one object: the block's length, or 'too-long' when `into` was too short for it. Some drives hand out scrap at the end of data,
 * and zero means a filemark as well, so the driver's flags decide (st(4), GMT_EOD).
 */
export async function readObject(device: TapeDevice, into: Buffer, endsAtWarning: boolean): Promise<number | 'too-long' | 'filemark' | 'end'> {
  let length: number;
  try {
    length = await device.read(into);
  } catch (error) {
    if (errorCode(error) === 'ENOMEM') return 'too-long';
    // Behind MTEOM the first read already fails.
    if (errorCode(error) === 'EIO' && (await device.status()).endOfData) return 'end';
    throw error;
  }
  const { endOfData, filemark, earlyWarning } = await device.status();
  if (endOfData || (endsAtWarning && earlyWarning)) return 'end';
  if (length > 0) return length;
  if (filemark) return 'filemark';
  throw new HsmError('EIO', 'the drive read nothing, and says of neither filemark nor end of data', { retry: 'other-copy' });
}
