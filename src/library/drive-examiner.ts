/** When drives are asked how they and their cartridges are: after each load, before each unload, and when a cartridge does not load. */
import { Examination, type DriveReport } from '../media/scsi/examination.ts';
import type { TapeDevice } from '../media/st/tape-device.ts';

export interface ToldByDrive {
  readonly drive: string;
  readonly volume: string;
  readonly moment: 'loaded' | 'unloading' | 'failed';
  readonly report: DriveReport | null;
  /** As the st driver saw it in the drive's answers. */
  readonly wantsCleaning: boolean;
}

interface Current {
  readonly volume: string;
  readonly examination: Examination;
  /** Opened anew from time to time. */
  device: TapeDevice;
}

/** Nothing of these commands waits for motion. When it is over, the kernel resets the drive. */
const timeoutMs = 60_000;

export class DriveExaminer {
  readonly #onTold: (told: ToldByDrive) => void;
  /** By drive: of the cartridge that is in it. */
  readonly #current = new Map<string, Current>();

  constructor(onTold: (told: ToldByDrive) => void) {
    this.#onTold = onTold;
  }

  /** Never fails: a drive that does not answer tells nothing, and is not asked the rest. */
  async examine(drive: string, volume: string, moment: ToldByDrive['moment'], device: TapeDevice): Promise<void> {
    if (device.command === undefined) return;
    try {
      const { examination } = this.#of(drive, volume, moment, device);
      const report = await examination.report();
      const { cleaning } = await device.status();
      if (report !== null || cleaning) this.#onTold({ drive, volume, moment, report, wantsCleaning: cleaning });
    } catch {
      // Whoever uses the drive meets its troubles himself.
      this.#current.delete(drive);
    }
  }

  #of(drive: string, volume: string, moment: ToldByDrive['moment'], device: TapeDevice): Current {
    const known = this.#current.get(drive);
    if (known !== undefined && known.volume === volume && moment !== 'loaded') {
      known.device = device;
      return known;
    }
    const fresh: Current = { volume, device, examination: new Examination((cdb, reply) => ask(fresh.device, cdb, reply)) };
    this.#current.set(drive, fresh);
    return fresh;
  }
}

const unitAttention = 6;

/** A unit attention comes before the answer, once for each thing that the drive has to tell. */
async function ask(device: TapeDevice, cdb: Buffer, reply: number): Promise<Buffer | null> {
  for (let attempts = 1; device.command !== undefined; attempts += 1) {
    const { status, sense, data } = await device.command(cdb, reply, timeoutMs);
    if (status === 0) return data;
    if (senseKey(sense) !== unitAttention || attempts === 4) return null;
  }
  return null;
}

/** Of fixed and of descriptor format (SPC-5, Sense data). */
function senseKey(sense: Buffer): number | null {
  const [first, second, third] = sense;
  if (first === undefined || second === undefined) return null;
  return ((first & 0x7f) >= 0x72 ? second : (third ?? 0)) & 0x0f;
}

