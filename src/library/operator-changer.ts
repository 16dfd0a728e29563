/** A drive without a robot: an operator puts the cartridges in, and their labels say which they are. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errorCode, exitCodes, HsmError } from '../errors.ts';
import { writeFileAtomic } from '../media/atomic-file.ts';
import { readVolumeLabel } from '../media/containers.ts';
import { openStMedium } from '../media/st/st-medium.ts';
import type { TapeDevice } from '../media/st/tape-device.ts';
import { requestText, type Changer, type ChangerInventory, type OperatorRequest } from './changer.ts';
import { systemClock, type Clock } from './clock.ts';
import { isBarcode } from './layout.ts';

export interface OperatorDrive {
  readonly name: string;
  readonly device: string;
  readonly element: number;
}

export interface OperatorChangerOptions {
  /** Folder of the list of cartridges. */
  readonly dir: string;
  readonly drives: readonly OperatorDrive[];
  readonly openDevice: (path: string) => Promise<TapeDevice>;
  readonly largestBlock: number;
  /** Whether a cartridge has never been written: then a blank one is taken for it. */
  readonly mayBeBlank: (barcode: string) => Promise<boolean>;
  /** Told when a request comes up or changes. */
  readonly onRequest?: (request: OperatorRequest) => void;
  /** Told when nobody wants the cartridge any more that was asked for, and why. */
  readonly onWithdrawn?: (request: OperatorRequest, reason: string) => void;
  readonly clock?: Clock;
}

const listShape = z.object({ version: z.literal(1), cartridges: z.array(z.string().refine(isBarcode)) });

const pollMs = 1000;

/** Each known cartridge has a place on the shelf, which counts as its slot. */
export class OperatorChanger implements Changer {
  readonly #options: OperatorChangerOptions;
  readonly #clock: Clock;
  /** In the order of their slots. */
  readonly #cartridges: string[];
  /** What is known to sit in the drives, by element. */
  readonly #held = new Map<number, string>();
  readonly #requests = new Map<string, OperatorRequest>();

  /** Reads the list, and the labels of what sits in the drives. Fails with `CONFIG` when the list is damaged. */
  static async open(options: OperatorChangerOptions): Promise<OperatorChanger> {
    await mkdir(options.dir, { recursive: true });
    const changer = new OperatorChanger(options, await readList(listPath(options.dir)));
    await changer.rescan();
    return changer;
  }

  private constructor(options: OperatorChangerOptions, cartridges: string[]) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#cartridges = cartridges;
  }

  get requests(): readonly OperatorRequest[] {
    return [...this.#requests.values()];
  }

  /** From now on these cartridges are on the shelf. */
  async add(barcodes: readonly string[]): Promise<void> {
    for (const barcode of barcodes) if (!this.#cartridges.includes(barcode)) this.#cartridges.push(barcode);
    await writeFileAtomic(listPath(this.#options.dir), `${JSON.stringify({ version: 1, cartridges: this.#cartridges }, null, 2)}\n`);
  }

  async inventory(): Promise<ChangerInventory> {
    const inDrives = [...this.#held.values()];
    return {
      drives: this.#options.drives.map(({ element }) => {
        const barcode = this.#held.get(element) ?? null;
        return { number: element, full: barcode !== null, barcode, from: barcode === null ? null : this.#slotOf(barcode) };
      }),
      slots: this.#cartridges.map((barcode, i) => {
        const full = !inDrives.includes(barcode);
        return { number: i + 1, full, barcode: full ? barcode : null, importExport: false };
      }),
    };
  }

  /** Looks into the drives. */
  async rescan(): Promise<void> {
    for (const drive of this.#options.drives) {
      const label = await this.#labelIn(drive);
      if (label === 'busy') continue;
      if (label !== null && this.#cartridges.includes(label)) this.#held.set(drive.element, label);
      else this.#held.delete(drive.element);
    }
  }

  /** Asks for the cartridge and waits until its label has been read; any other is given back. Ends with the signal's reason. */
  async load(slot: number, element: number, signal?: AbortSignal): Promise<void> {
    const wanted = this.#cartridges[slot - 1];
    const drive = this.#options.drives.find((each) => each.element === element);
    if (wanted === undefined || drive === undefined) throw new HsmError('EIO', `there is no place ${slot} on the shelf, or no drive ${element}`, { retry: 'later' });
    let problem: string | null = null;
    try {
      for (;;) {
        const label = await this.#labelIn(drive);
        if (label === wanted || (label === 'blank' && (await this.#options.mayBeBlank(wanted)))) break;
        if (label !== 'empty' && label !== 'busy') {
          await this.#giveBack(drive);
          problem = whatWasWrong(label, wanted);
        }
        this.#ask({ drive: drive.name, barcode: wanted, problem });
        await this.#clock.sleep(pollMs, signal);
      }
    } catch (error) {
      const asked = this.#requests.get(drive.name);
      if (asked !== undefined && signal?.aborted === true) this.#options.onWithdrawn?.(asked, error instanceof Error ? error.message : String(error));
      throw error;
    } finally {
      this.#requests.delete(drive.name);
    }
    this.#held.set(element, wanted);
  }

  /** The drive has let go of it already; who takes it out puts it on the shelf. */
  async unload(element: number): Promise<void> {
    this.#held.delete(element);
  }

  async #giveBack(drive: OperatorDrive): Promise<void> {
    const device = await this.#options.openDevice(drive.device);
    try {
      await device.operation('MTOFFL', 1);
    } finally {
      device.close();
    }
  }

  /** A barcode, or `blank`; null: no label of hsm. `empty` also while the drive is threading, `busy` where somebody uses it. */
  async #labelIn(drive: OperatorDrive): Promise<string | null> {
    let device: TapeDevice;
    try {
      device = await this.#options.openDevice(drive.device);
    } catch (error) {
      if (errorCode(error) === 'EBUSY') return 'busy';
      throw error;
    }
    try {
      if (!(await device.status()).online) return 'empty';
      return await readVolumeLabel(await openStMedium(device, { barcode: '', capacity: 0, largestBlock: this.#options.largestBlock }));
    } finally {
      device.close();
    }
  }

  #ask(request: OperatorRequest): void {
    const before = this.#requests.get(request.drive);
    if (before !== undefined && requestText(before) === requestText(request)) return;
    this.#requests.set(request.drive, request);
    this.#options.onRequest?.(request);
  }

  #slotOf(barcode: string): number | null {
    const index = this.#cartridges.indexOf(barcode);
    return index < 0 ? null : index + 1;
  }
}

function whatWasWrong(label: string | null, wanted: string): string {
  if (label === 'blank') return `a blank cartridge was given back, ${wanted} has a label`;
  return label === null ? 'a cartridge without a label of hsm was given back' : `cartridge ${label} was given back`;
}

const listPath = (dir: string): string => join(dir, 'shelf.json');

async function readList(path: string): Promise<string[]> {
  try {
    return listShape.parse(JSON.parse(await readFile(path, 'utf8'))).cartridges;
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return [];
    throw new HsmError('CONFIG', `${path} is damaged: move it away and name the cartridges anew with 'hsm tape add'`, { exit: exitCodes.usage, path, cause });
  }
}
