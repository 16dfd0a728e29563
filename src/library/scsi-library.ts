/** A library of SCSI tape drives: st reads and writes the cartridges that a robot, or an operator, puts in. */
import { mkdir } from 'node:fs/promises';
import { errorCode, HsmError, usageError } from '../errors.ts';
import { readVolumeLabel } from '../media/containers.ts';
import type { Medium } from '../media/medium.ts';
import { openStMedium } from '../media/st/st-medium.ts';
import type { TapeDevice } from '../media/st/tape-device.ts';
import type { Changer, ChangerInventory, ChangerSlot, OperatorRequest } from './changer.ts';
import { systemClock, type Clock } from './clock.ts';
import type { AddedCartridge, NewCartridges } from './create-library.ts';
import { DriveExaminer, type ToldByDrive } from './drive-examiner.ts';
import { isBarcode, libraryPaths, readLibraryState, writeLibraryState } from './layout.ts';
import { LibraryDrive } from './library-drive.ts';
import type { DriveStatus, Library, SlotStatus } from './library.ts';
import { lockLibrary, type LibraryLock } from './lock.ts';

export interface ScsiDriveOptions {
  readonly name: string;
  /** The non-rewinding node, by a name that survives a restart: /dev/tape/by-id/...-nst. */
  readonly device: string;
  /** The robot's number of this drive. */
  readonly element: number;
  /** Null or left out: not known. */
  readonly serial?: string | null;
}

/** A loaded volume, as its drive sees it. */
export interface LoadedVolume extends Medium {
  readonly busy: boolean;
  /** Nothing on it can be reached, not even a label: it can be formatted, and is not in the way of that. */
  readonly unreadable?: boolean;
  /** Waits for the operation under way and lets the volume go. Where that fails, its cartridge stays in the drive. */
  detach(): Promise<void>;
}

export interface ScsiLibraryOptions {
  /** Folder of the lock and of what operators said of the drives. */
  readonly dir: string;
  /** Called when the library is this process's own. */
  readonly openChanger: () => Promise<Changer>;
  readonly drives: readonly ScsiDriveOptions[];
  readonly openDevice: (path: string) => Promise<TapeDevice>;
  /** Bytes that a volume holds. */
  readonly capacityOf: (barcode: string) => number;
  /** How long a drive may take to get ready: an LTO-9 cartridge's first load takes up to two hours. */
  readonly loadTimeoutMs: number;
  readonly largestBlock: number;
  /** For volumes that the drive's own device does not show: it is closed before. Default: what the st driver shows. */
  readonly openVolume?: (barcode: string, drive: ScsiDriveOptions) => Promise<LoadedVolume>;
  /** How long close() waits for volumes that take their time to be let go of. Default: as long as it takes. */
  readonly closePatienceMs?: number;
  /** For cartridges that can be made. Default: they come by hand. */
  readonly makeCartridges?: (wanted: NewCartridges) => Promise<AddedCartridge[]>;
  /** What drives tell of themselves and of the cartridges in them. */
  readonly onTold?: (told: ToldByDrive) => void;
  readonly clock?: Clock;
}

/** A drive, and the open device while a volume of it is in use. */
class ScsiDrive extends LibraryDrive<LoadedVolume> {
  readonly path: string;
  readonly element: number;
  device: TapeDevice | null = null;
  /** What is in it is no volume. */
  cleaning = false;
  /** Ends the wait for an operator. */
  wait: AbortController | null = null;

  constructor({ name, device, element }: ScsiDriveOptions) {
    super(name);
    this.path = device;
    this.element = element;
  }
}

const pollMs = 1000;
/** After the robot has let go of a cartridge. */
const takesCartridgeMs = 120_000;

/** Takes the library of `dir` for this process. Fails with `CONFIG` when the robot has no such drive, `REFUSED` when another process has it. */
export async function openScsiLibrary(options: ScsiLibraryOptions): Promise<ScsiLibrary> {
  await mkdir(options.dir, { recursive: true });
  const lock = lockLibrary(libraryPaths(options.dir).lock);
  try {
    const library = new ScsiLibrary(options, await options.openChanger(), lock);
    await library.takeStock();
    return library;
  } catch (error) {
    lock.release();
    throw error;
  }
}

export class ScsiLibrary implements Library {
  readonly #options: ScsiLibraryOptions;
  readonly #changer: Changer;
  readonly #lock: LibraryLock;
  readonly #clock: Clock;
  readonly #examiner: DriveExaminer | null;
  readonly #drives: Map<string, ScsiDrive>;
  #slots: readonly ChangerSlot[] = [];
  /** The slots that cartridges in drives came from, by the drive's element. */
  readonly #homes = new Map<number, number>();
  /** Barcodes on their way into a drive. */
  readonly #travelling = new Set<string>();
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();
  /** The robot has one arm. */
  #robot: Promise<unknown> = Promise.resolve();
  #keeping: Promise<unknown> = Promise.resolve();

  constructor(options: ScsiLibraryOptions, changer: Changer, lock: LibraryLock) {
    this.#options = options;
    this.#changer = changer;
    this.#lock = lock;
    this.#clock = options.clock ?? systemClock;
    this.#examiner = options.onTold === undefined ? null : new DriveExaminer(options.onTold);
    this.#drives = new Map(options.drives.map((each) => [each.name, new ScsiDrive(each)]));
  }

  /** What the robot says of cartridges, and what operators said of drives. */
  async takeStock(): Promise<void> {
    const kept = (await readLibraryState(this.#options.dir))?.drives ?? {};
    const inventory = await this.#changer.inventory();
    for (const drive of this.#drives.values()) {
      if (inventory.drives.every(({ number }) => number !== drive.element)) {
        const there = inventory.drives.map(({ number }) => number).join(', ');
        throw new HsmError('CONFIG', `${drive.name}: the robot has no drive element ${drive.element}: it has ${there}`, { exit: 2 });
      }
      drive.admin = kept[drive.name]?.admin ?? 'up';
      drive.reason = kept[drive.name]?.reason ?? null;
    }
    this.#take(inventory);
    for (const drive of this.#drives.values()) {
      if (drive.barcode === null) continue;
      drive.move('loading');
      drive.move('ready');
    }
    await this.#keepState();
  }

  async inventory(): Promise<{ readonly drives: readonly DriveStatus[]; readonly slots: readonly SlotStatus[] }> {
    return {
      drives: [...this.#drives.values()].map((drive) => drive.status),
      slots: this.#slots.map(({ number, barcode }) => ({ slot: number, barcode: usable(barcode) })),
    };
  }

  get requests(): readonly OperatorRequest[] {
    return this.#changer.requests ?? [];
  }

  get serials(): ReadonlyMap<string, string> {
    return new Map(this.#options.drives.flatMap(({ name, serial }) => (serial == null ? [] : [[name, serial] as const])));
  }

  /** Makes the robot look at every slot, for cartridges that were put in or taken out by hand. */
  async rescan(): Promise<void> {
    await this.#track(
      this.#withRobot(async () => {
        await this.#changer.rescan();
        this.#take(await this.#changer.inventory());
      }),
    );
  }

  /** Where cartridges cannot be made and a robot can look, they must be in slots or drives already. */
  async addCartridges(wanted: NewCartridges): Promise<AddedCartridge[]> {
    const { barcodes = [], capacity } = wanted;
    if (this.#options.makeCartridges !== undefined) {
      const made = await this.#track(this.#options.makeCartridges(wanted));
      await this.rescan();
      return made;
    }
    if (this.#changer.add !== undefined) {
      await this.#changer.add(barcodes);
      this.#take(await this.#changer.inventory());
    }
    const here = [...this.#slots, ...this.#drives.values()].map(({ barcode }) => barcode);
    const absent = barcodes.find((barcode) => !here.includes(barcode));
    if (absent !== undefined) throw new HsmError('NO_VOLUME', `the library has no cartridge ${absent}: put it in, then run 'hsm library inventory'`);
    if (barcodes.length === 0) throw usageError('name the cartridges: a real library cannot make new ones');
    return barcodes.map((barcode) => ({ barcode, capacity: capacity ?? this.#options.capacityOf(barcode) }));
  }

  /** Into a slot of the door; where the robot has none, it stays in its slot to be taken out by hand. */
  async exportCartridge(barcode: string): Promise<string> {
    let place = '';
    await this.#track(
      this.#move(async () => {
        const slot = this.#slotOf(barcode);
        const doors = this.#slots.filter(({ importExport }) => importExport);
        const free = slot.importExport ? slot : doors.find(({ full }) => !full);
        if (free === undefined && doors.length > 0) throw new HsmError('EIO', `no import/export slot is free for ${barcode}: empty the door`, { retry: 'later' });
        if (free !== undefined && free !== slot) await this.#changer.transfer?.(slot.number, free.number);
        place = free === undefined ? `slot ${slot.number}` : `import/export slot ${free.number}`;
      }),
    );
    return place;
  }

  async importCartridge(barcode: string): Promise<void> {
    await this.#track(
      this.#move(async () => {
        this.#take(await this.#changer.inventory());
        const slot = this.#slotOf(barcode);
        if (!slot.importExport) return;
        const free = this.#slots.find(({ full, importExport }) => !full && !importExport);
        if (free === undefined) throw new HsmError('EIO', `no slot is free for ${barcode}`, { retry: 'later' });
        await this.#changer.transfer?.(slot.number, free.number);
      }),
    );
  }

  #slotOf(barcode: string): ChangerSlot {
    const slot = this.#slots.find((each) => each.barcode === barcode);
    if (slot !== undefined) return slot;
    if ([...this.#drives.values()].some((each) => each.barcode === barcode)) throw new HsmError('EBUSY', `cartridge ${barcode} is in a drive`, { retry: 'later' });
    throw new HsmError('NO_VOLUME', `the library has no cartridge ${barcode}: put it into the door, then run 'hsm library inventory'`);
  }

  /**
   * Puts a cleaning cartridge in, waits until the drive has let go of it, and takes it back. Fails with `NO_VOLUME`, `EBUSY`, `NO_ROBOT`, `WRONG_VOLUME`
   * (it holds data: the drive got ready with it), `CLEANING` (the drive did not end in time), `EIO`.
   */
  async clean(barcode: string, name: string, timeoutMs: number): Promise<void> {
    const drive = this.#drive(name);
    if (this.#changer.requests !== undefined) throw new HsmError('NO_ROBOT', `no robot can put ${barcode} into ${name}: do it by hand`);
    await this.#track(
      drive.exclusively(async () => {
        this.#requireFree(barcode, drive);
        this.#travelling.add(barcode);
        try {
          await this.#fetch(barcode, drive);
          drive.cleaning = true;
          await this.#cleaned(barcode, drive, timeoutMs);
        } finally {
          try {
            if (drive.barcode === barcode) await this.#putAway(drive);
          } finally {
            // One that the robot could not take out is like any other that nobody uses.
            if (drive.state === 'loading') drive.move(drive.barcode === null ? 'empty' : 'ready');
            drive.cleaning = false;
            this.#travelling.delete(barcode);
          }
        }
      }),
    );
  }

  async load(barcode: string, name: string, signal?: AbortSignal): Promise<Medium> {
    const drive = this.#drive(name);
    if (drive.admin === 'down' || drive.state === 'failed') throw driveDown(drive);
    return this.#track(
      drive.exclusively(async () => {
        this.#requireFree(barcode, drive);
        this.#travelling.add(barcode);
        try {
          if (drive.barcode !== barcode) await this.#fetch(barcode, drive, signal);
          return await this.#thread(barcode, drive);
        } finally {
          this.#travelling.delete(barcode);
        }
      }),
    );
  }

  async unload(name: string): Promise<void> {
    const drive = this.#drive(name);
    await this.#track(drive.exclusively(() => this.#putAway(drive)));
  }

  async setDrive(name: string, admin: 'up' | 'down', reason: string | null): Promise<void> {
    const drive = this.#drive(name);
    drive.admin = admin;
    drive.reason = reason;
    if (admin === 'down') drive.wait?.abort(driveDown(drive));
    if (admin === 'up' && drive.state === 'failed') {
      drive.failure = null;
      drive.move(drive.barcode === null ? 'empty' : 'ready');
    }
    await this.#track(this.#keepState());
  }

  /** Ends waiting loads with `ECANCELED`, lets media finish the operation that they are in, and lets go of the drives. Cartridges stay where they are. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    for (const { wait } of this.#drives.values()) wait?.abort(canceled());
    await Promise.allSettled(this.#underWay);
    const { closePatienceMs } = this.#options;
    const letting = Promise.allSettled([...this.#drives.values()].map((drive) => letGo(drive)));
    const ends = await (closePatienceMs === undefined ? letting : Promise.race([letting, this.#clock.sleep(closePatienceMs)]));
    this.#lock.release();
    for (const end of ends ?? []) if (end.status === 'rejected') throw end.reason;
  }

  /** As if the process had died here; for tests of crashes. */
  abandon(): void {
    this.#closing.abort();
    this.#lock.release();
  }

  /** close() waits for what was begun. */
  async #track<T>(action: Promise<T>): Promise<T> {
    this.#underWay.add(action);
    try {
      return await action;
    } finally {
      this.#underWay.delete(action);
    }
  }

  #drive(name: string): ScsiDrive {
    if (this.#closing.signal.aborted) throw canceled();
    const drive = this.#drives.get(name);
    if (drive === undefined) throw new HsmError('NO_DRIVE', `the library has no drive ${name}: it has ${[...this.#drives.keys()].join(', ')}`);
    return drive;
  }

  #requireFree(barcode: string, drive: ScsiDrive): void {
    const inDrive = new HsmError('EBUSY', `cartridge ${barcode} is in another drive`, { retry: 'later' });
    if (this.#travelling.has(barcode)) throw inDrive;
    if (drive.barcode === barcode || this.#slots.some((slot) => slot.barcode === barcode)) return;
    if ([...this.#drives.values()].some((each) => each.barcode === barcode)) throw inDrive;
    throw new HsmError('NO_VOLUME', `the library has no cartridge ${barcode}`, { retry: 'other-copy' });
  }

  /** From its slot into the drive, which gives back what it holds first. */
  async #fetch(barcode: string, drive: ScsiDrive, signal?: AbortSignal): Promise<void> {
    await this.#putAway(drive);
    drive.move('loading');
    try {
      await this.#move(async () => {
        const slot = this.#slots.find((each) => each.barcode === barcode);
        if (slot === undefined) throw new HsmError('NO_VOLUME', `the library has no cartridge ${barcode}`, { retry: 'other-copy' });
        drive.wait = new AbortController();
        await this.#changer.load(slot.number, drive.element, signal === undefined ? drive.wait.signal : AbortSignal.any([drive.wait.signal, signal]));
      });
      if (drive.barcode !== barcode) throw new HsmError('EIO', `the robot says that ${drive.name} holds ${drive.barcode ?? 'nothing'} and not ${barcode}`, { retry: 'later' });
    } catch (error) {
      drive.move(drive.barcode === null ? 'empty' : 'ready');
      throw error;
    }
  }

  /** Makes what sits in the drive ready at its beginning. A user who still has the medium from before finds it not loaded. */
  async #thread(barcode: string, drive: ScsiDrive): Promise<Medium> {
    await letGo(drive);
    drive.move('loading');
    drive.device = await this.#ready(drive).catch(async (error: unknown) => {
      if (this.#closing.signal.aborted || errorCode(error) === 'EBUSY') drive.move('ready');
      else {
        this.#fail(drive, error);
        await this.#examineFailed(drive, barcode);
      }
      throw error;
    });
    drive.move('ready');
    await this.#examiner?.examine(drive.name, barcode, 'loaded', drive.device);
    try {
      const medium = await this.#open(barcode, drive, drive.device);
      drive.cartridge = medium;
      if (medium.unreadable !== true) await requireLabel(medium, drive.name);
      drive.medium = medium;
      return medium;
    } catch (error) {
      // The tape's fault as far as anybody can tell now.
      await letGo(drive);
      throw error;
    }
  }

  async #open(barcode: string, drive: ScsiDrive, device: TapeDevice): Promise<LoadedVolume> {
    const { largestBlock, capacityOf, openVolume } = this.#options;
    if (openVolume === undefined) return openStMedium(device, { barcode, capacity: capacityOf(barcode), largestBlock });
    drive.device = null;
    device.close();
    return openVolume(barcode, { name: drive.name, device: drive.path, element: drive.element });
  }

  /** While it cleans, a drive has a cartridge and is not ready; then it ejects it. A drive that never took it looks empty from the beginning. */
  async #cleaned(barcode: string, drive: ScsiDrive, timeoutMs: number): Promise<void> {
    const start = this.#clock.now();
    for (let seen = false; ; ) {
      const state = await this.#cleaningState(drive);
      if (state === 'ready') throw new HsmError('WRONG_VOLUME', `${barcode} is no cleaning cartridge: ${drive.name} can read it`);
      seen ||= state === 'cleaning';
      const passed = this.#clock.now() - start;
      if (state === 'empty' && seen) return;
      if (state === 'empty' && passed > takesCartridgeMs) throw new HsmError('CLEANING', `${drive.name} did not take ${barcode}: it may be used up`);
      if (passed > timeoutMs) throw new HsmError('CLEANING', `${drive.name} was not clean after ${timeoutMs / 1000} s with ${barcode}`);
      await this.#clock.sleep(pollMs, this.#closing.signal).catch(() => {
        throw canceled();
      });
    }
  }

  async #cleaningState(drive: ScsiDrive): Promise<'ready' | 'cleaning' | 'empty'> {
    const device = await this.#options.openDevice(drive.path).catch((error: unknown) => {
      if (errorCode(error) !== 'EIO') throw error;
      return null;
    });
    try {
      const status = await device?.status();
      return status?.online === true ? 'ready' : status?.doorOpen === true ? 'empty' : 'cleaning';
    } catch {
      return 'cleaning';
    } finally {
      device?.close();
    }
  }

  #fail(drive: ScsiDrive, error: unknown): void {
    drive.move('failed');
    drive.failure = error instanceof Error ? error.message : String(error);
  }

  async #examineFailed(drive: ScsiDrive, barcode: string): Promise<void> {
    if (this.#examiner === null) return;
    const device = await this.#options.openDevice(drive.path).catch(() => null);
    if (device === null) return;
    await this.#examiner.examine(drive.name, barcode, 'failed', device);
    device.close();
  }

  /** The device once the drive has threaded the tape. It is opened anew every time: what is open across a load knows the old cartridge. */
  async #ready(drive: ScsiDrive): Promise<TapeDevice> {
    const deadline = this.#clock.now() + this.#options.loadTimeoutMs;
    for (;;) {
      const device = await this.#options.openDevice(drive.path);
      try {
        if ((await device.status()).online) return device;
      } catch (cause) {
        device.close();
        throw new HsmError('EIO', `${drive.name} does not tell its state`, { retry: 'other-copy', cause });
      }
      device.close();
      if (this.#clock.now() > deadline) throw new HsmError('EIO', `${drive.name} did not get ready in ${this.#options.loadTimeoutMs / 1000} s`, { retry: 'other-copy' });
      await this.#clock.sleep(pollMs, this.#closing.signal).catch(() => {
        throw canceled();
      });
    }
  }

  /** Back to the slot that it came from, or to a free one. */
  async #putAway(drive: ScsiDrive): Promise<void> {
    if (drive.barcode === null) return;
    await this.#eject(drive);
    await this.#move(async () => {
      const home = this.#freeSlot(drive);
      if (home === undefined) throw new HsmError('EIO', `no slot is free for ${drive.barcode}, which is in ${drive.name}`, { retry: 'later' });
      await this.#changer.unload(drive.element, home);
    });
    if (drive.barcode === null && drive.state !== 'failed') drive.move('empty');
  }

  /** Rewinds and unthreads the tape. A drive that cannot may still give its cartridge to the robot, which then says so itself if not. */
  async #eject(drive: ScsiDrive): Promise<void> {
    await drive.cartridge?.detach();
    // Behind an unfinished write st puts a filemark before it winds, wherever the tape is: at its beginning, after a reset. It learns of one by the
    // unit attention, which our questions would take. Closed and opened anew, it has nothing left to write.
    if (this.#examiner !== null) await letGo(drive);
    const device = drive.device ?? (await this.#options.openDevice(drive.path).catch(() => null));
    drive.device = device;
    if (device !== null && drive.barcode !== null && !drive.cleaning) await this.#examiner?.examine(drive.name, drive.barcode, 'unloading', device);
    await device?.operation('MTOFFL', 1).catch(() => undefined);
    await letGo(drive);
  }

  #freeSlot(drive: ScsiDrive): number | undefined {
    const free = this.#slots.filter(({ full, importExport }) => !full && !importExport);
    return (free.find(({ number }) => number === this.#homes.get(drive.element)) ?? free[0])?.number;
  }

  /** A move of the robot, after which the robot is asked where things are, whether it failed or not. */
  async #move(action: () => Promise<void>): Promise<void> {
    await this.#withRobot(async () => {
      try {
        await action();
      } finally {
        this.#take(await this.#changer.inventory());
        await this.#keepState();
      }
    });
  }

  #take(inventory: ChangerInventory): void {
    this.#slots = inventory.slots;
    for (const drive of this.#drives.values()) {
      const found = inventory.drives.find(({ number }) => number === drive.element);
      drive.barcode = usable(found?.barcode ?? null);
      if (found?.from != null) this.#homes.set(drive.element, found.from);
    }
  }

  async #withRobot<T>(action: () => Promise<T>): Promise<T> {
    // An operator may be asked for two cartridges at a time, and can bring the second one first.
    const before = this.#changer.requests === undefined ? this.#robot : Promise.resolve();
    const turn = before.then(() => {
      if (this.#closing.signal.aborted) throw canceled();
      return action();
    });
    this.#robot = turn.catch(() => undefined);
    return turn;
  }

  /** One writer at a time: an operator sets a drive down while the robot moves. */
  #keepState(): Promise<void> {
    const kept = this.#keeping.then(() => {
      const drives = [...this.#drives.values()].map(({ name, barcode, admin, reason }) => [name, { barcode, admin, reason }] as const);
      return writeLibraryState(this.#options.dir, { version: 1, drives: Object.fromEntries(drives), slots: [] });
    });
    this.#keeping = kept.catch(() => undefined);
    return kept;
  }
}

async function letGo(drive: ScsiDrive): Promise<void> {
  await drive.cartridge?.detach();
  drive.cartridge = null;
  drive.medium = null;
  drive.device?.close();
  drive.device = null;
}

/** The robot may read a barcode wrong, or a cartridge may have the wrong sticker: the tape's own label decides, and a blank tape has none. */
async function requireLabel(medium: LoadedVolume, drive: string): Promise<void> {
  const label = await readVolumeLabel(medium);
  await medium.rewind();
  if (label === null || label === 'blank' || label === medium.barcode) return;
  throw new HsmError('WRONG_VOLUME', `the cartridge with the barcode ${medium.barcode} in ${drive} is labelled ${label}`, { retry: 'other-copy' });
}

const canceled = (): HsmError => new HsmError('ECANCELED', 'the library is closed', { retry: 'later' });

/** A barcode that cannot be in a stub record is none. */
const usable = (barcode: string | null): string | null => (barcode !== null && isBarcode(barcode) ? barcode : null);

function driveDown(drive: ScsiDrive): HsmError {
  const { reason } = drive.status;
  const why = drive.admin === 'down' ? 'down' : 'failed';
  return new HsmError('DRIVE_DOWN', `drive ${drive.name} is ${why}${reason === null ? '' : `: ${reason}`}`, { retry: 'later' });
}
