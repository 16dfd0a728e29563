/** The virtual library: drives, slots and a robot over a folder of .tap files. */
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { HsmError } from '../errors.ts';
import { cartridgeFiles, newCartridgeRecord, readCartridgeRecord, writeCartridgeRecord } from '../media/cartridge-record.ts';
import type { Faults } from '../media/decorators/with-faults.ts';
import { withFaults } from '../media/decorators/with-faults.ts';
import type { Medium } from '../media/medium.ts';
import { loadVirtualCartridge } from '../media/virtual-cartridge.ts';
import type { CartridgeOptions, VirtualCartridge } from '../media/virtual-cartridge.ts';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import type { AddedCartridge, NewCartridges } from './create-library.ts';
import { listBarcodes, makeCartridges } from './create-library.ts';
import { fromShelf, toShelf } from './move-cartridge.ts';
import type { LibraryConfig } from './layout.ts';
import { libraryPaths, readLibraryConfig, readLibraryState, writeLibraryState } from './layout.ts';
import { LibraryDrive } from './library-drive.ts';
import type { DriveStatus, Library, SlotStatus } from './library.ts';
import type { LibraryLock } from './lock.ts';
import { lockLibrary } from './lock.ts';
import { pause, TapeMechanics } from './tape-mechanics.ts';
import type { TapeModel, Timing } from './timing.ts';
import { rewindSeconds, tapeModel } from './timing.ts';

type VirtualDrive = LibraryDrive<VirtualCartridge>;

export { addCartridges, createVirtualLibrary } from './create-library.ts';

export interface OpenLibraryOptions {
  readonly clock?: Clock;
  readonly faults?: Faults;
  /** Instead of what the library was created with. */
  readonly timing?: Timing;
  readonly openFile?: CartridgeOptions['openFile'];
}

/**
 * Takes the library of `dir` for this process. Fails with `CONFIG` when there is none, `REFUSED` when another process has it.
 * A drive that held a cartridge still holds it; cartridges whose files were put there or taken away meanwhile come and go.
 */
export async function openVirtualLibrary(dir: string, options: OpenLibraryOptions = {}): Promise<VirtualLibrary> {
  const config = await readLibraryConfig(dir);
  const lock = lockLibrary(libraryPaths(dir).lock);
  try {
    const library = new VirtualLibrary(dir, config, lock, options);
    await library.takeStock();
    return library;
  } catch (error) {
    lock.release();
    throw error;
  }
}

export class VirtualLibrary implements Library {
  readonly dir: string;
  readonly config: LibraryConfig;
  readonly #lock: LibraryLock;
  readonly #clock: Clock;
  readonly #faults: Faults | null;
  readonly #openFile: CartridgeOptions['openFile'];
  readonly #model: TapeModel | null;
  readonly #drives = new Map<string, VirtualDrive>();
  readonly #slots: (string | null)[] = [];
  /** Barcodes on their way into a drive. */
  readonly #travelling = new Set<string>();
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();
  /** The robot has one arm. */
  #robot: Promise<unknown> = Promise.resolve();
  /** state.json is written by one at a time, in order. */
  #keeping: Promise<unknown> = Promise.resolve();

  constructor(dir: string, config: LibraryConfig, lock: LibraryLock, options: OpenLibraryOptions) {
    this.dir = dir;
    this.config = config;
    this.#lock = lock;
    this.#clock = options.clock ?? systemClock;
    this.#faults = options.faults ?? null;
    this.#openFile = options.openFile;
    this.#model = tapeModel(options.timing ?? config.timing);
    for (let number = 0; number < config.drives; number += 1) this.#drives.set(`drive${number}`, new LibraryDrive(`drive${number}`));
  }

  /** Brings what state.json says and what lies in the folder together. */
  async takeStock(): Promise<void> {
    const state = await readLibraryState(this.dir);
    const missing = await listBarcodes(this.dir);
    for (const barcode of missing) await this.#requireRecord(barcode);
    for (const [name, kept] of Object.entries(state?.drives ?? {})) {
      const drive = this.#drives.get(name);
      if (drive === undefined) continue;
      drive.admin = kept.admin;
      drive.reason = kept.reason;
      if (kept.barcode === null || !missing.delete(kept.barcode)) continue;
      drive.barcode = kept.barcode;
      drive.move('loading');
      drive.move('ready');
    }
    for (const barcode of state?.slots ?? []) this.#slots.push(barcode !== null && missing.delete(barcode) ? barcode : null);
    for (const barcode of [...missing].sort()) this.#putInSlot(barcode);
    await this.#keepState();
  }

  /** A virtual robot needs nobody. */
  readonly requests = [];

  async inventory(): Promise<{ readonly drives: readonly DriveStatus[]; readonly slots: readonly SlotStatus[] }> {
    return {
      drives: [...this.#drives.values()].map((drive) => drive.status),
      slots: this.#slots.map((barcode, slot) => ({ slot: slot + 1, barcode })),
    };
  }

  async load(barcode: string, name: string): Promise<Medium> {
    const drive = this.#drive(name);
    if (drive.admin === 'down' || drive.state === 'failed') throw this.#driveDown(drive);
    return this.#track(
      drive.exclusively(async () => {
        this.#requireFree(barcode, drive);
        this.#travelling.add(barcode);
        try {
          if (drive.barcode !== barcode) await this.#fetch(barcode, drive);
          return await this.#thread(barcode, drive);
        } finally {
          this.#travelling.delete(barcode);
        }
      }),
    );
  }

  async unload(name: string): Promise<void> {
    const drive = this.#drive(name);
    const failure = await this.#track(drive.exclusively(() => this.#putAway(drive)));
    if (failure !== null) throw failure;
  }

  async setDrive(name: string, admin: 'up' | 'down', reason: string | null): Promise<void> {
    const drive = this.#drive(name);
    drive.admin = admin;
    drive.reason = reason;
    if (admin === 'up' && drive.state === 'failed') {
      drive.failure = null;
      drive.move(drive.barcode === null ? 'empty' : 'ready');
    }
    await this.#track(this.#keepState());
  }

  /** New, empty cartridges in slots of their own. */
  async addCartridges(wanted: NewCartridges): Promise<AddedCartridge[]> {
    return this.#track(
      this.#withRobot(async () => {
        const added = await makeCartridges(this.dir, wanted, this.config);
        for (const { barcode } of added) this.#putInSlot(barcode);
        await this.#keepState();
        return added;
      }),
    );
  }

  /** Cartridges whose files were put into the folder, or taken out of it, come and go when the library is opened. */
  async rescan(): Promise<void> {
    await this.inventory();
  }

  /** Its files go to the folder `shelf`. */
  async exportCartridge(barcode: string): Promise<string> {
    const { cartridges, shelf } = libraryPaths(this.dir);
    await this.#track(
      this.#withRobot(async () => {
        const slot = this.#slots.indexOf(barcode);
        if (slot < 0) throw this.#driveOf(barcode) === undefined ? this.#noVolume(barcode) : this.#inDrive(barcode);
        await toShelf(barcode, cartridges, shelf);
        this.#slots[slot] = null;
        await this.#keepState();
      }),
    );
    return shelf;
  }

  async importCartridge(barcode: string): Promise<void> {
    const { cartridges, shelf } = libraryPaths(this.dir);
    await this.#track(
      this.#withRobot(async () => {
        if (this.#slots.includes(barcode) || this.#driveOf(barcode) !== undefined) return;
        if (existsSync(cartridgeFiles(shelf, barcode).tap)) await fromShelf(barcode, shelf, cartridges);
        else if (!existsSync(cartridgeFiles(cartridges, barcode).tap)) throw new HsmError('NO_VOLUME', `there is no cartridge ${barcode} in ${shelf}`, { path: shelf });
        await this.#requireRecord(barcode);
        this.#putInSlot(barcode);
        await this.#keepState();
      }),
    );
  }

  /** Slides the write protect tab of a cartridge that is in a slot; `EBUSY` in a drive. */
  async setWriteProtect(barcode: string, writeProtect: boolean): Promise<void> {
    if (!this.#slots.includes(barcode)) throw this.#driveOf(barcode) === undefined ? this.#noVolume(barcode) : this.#inDrive(barcode);
    const { record } = cartridgeFiles(libraryPaths(this.dir).cartridges, barcode);
    await this.#track(this.#withRobot(async () => writeCartridgeRecord(record, { ...(await readCartridgeRecord(record)), writeProtect })));
  }

  /**
   * Ends waiting moves and loads with `ECANCELED`, lets media finish the operation that they are in, makes them durable
   * and lets go of the library. Cartridges stay where they are.
   */
  async close(): Promise<void> {
    await this.#end((cartridge) => cartridge.unload());
  }

  /** As if the process had died here; for tests of crashes. */
  async abandon(): Promise<void> {
    await this.#end((cartridge) => cartridge.abandon());
  }

  async #end(leave: (cartridge: VirtualCartridge) => Promise<void>): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await Promise.allSettled(this.#underWay);
    const cartridges = [...this.#drives.values()].map((drive) => drive.cartridge).filter((cartridge) => cartridge !== null);
    const ends = await Promise.allSettled(cartridges.map(leave));
    this.#lock.release();
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason as Error;
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

  /** A .tap without its record, put here by hand or after a loss, gets one that fits. */
  async #requireRecord(barcode: string): Promise<void> {
    const folder = libraryPaths(this.dir).cartridges;
    const files = cartridgeFiles(folder, barcode);
    if (existsSync(files.record)) return;
    const { size } = await stat(files.tap);
    await writeCartridgeRecord(files.record, newCartridgeRecord(barcode, this.config.generation, Math.max(size, this.config.capacity)));
  }

  #drive(name: string): VirtualDrive {
    if (this.#closing.signal.aborted) throw new HsmError('ECANCELED', 'the library is closed', { retry: 'later' });
    const drive = this.#drives.get(name);
    if (drive === undefined) throw new HsmError('NO_DRIVE', `the library has no drive ${name}: it has ${[...this.#drives.keys()].join(', ')}`);
    return drive;
  }

  #driveOf(barcode: string): VirtualDrive | undefined {
    return [...this.#drives.values()].find((drive) => drive.barcode === barcode);
  }

  #driveDown(drive: VirtualDrive): HsmError {
    const { reason } = drive.status;
    const why = drive.admin === 'down' ? 'down' : 'failed';
    return new HsmError('DRIVE_DOWN', `drive ${drive.name} is ${why}${reason === null ? '' : `: ${reason}`}`, { retry: 'later' });
  }

  #noVolume(barcode: string): HsmError {
    return new HsmError('NO_VOLUME', `the library has no cartridge ${barcode}`, { retry: 'other-copy' });
  }

  #inDrive(barcode: string): HsmError {
    return new HsmError('EBUSY', `cartridge ${barcode} is in another drive`, { retry: 'later' });
  }

  #requireFree(barcode: string, drive: VirtualDrive): void {
    if (this.#travelling.has(barcode)) throw this.#inDrive(barcode);
    if (drive.barcode === barcode || this.#slots.includes(barcode)) return;
    throw this.#driveOf(barcode) === undefined ? this.#noVolume(barcode) : this.#inDrive(barcode);
  }

  /** From its slot into the drive, which gives back what it holds first. */
  async #fetch(barcode: string, drive: VirtualDrive): Promise<void> {
    await this.#putAway(drive);
    drive.move('loading');
    try {
      await this.#withRobot(async () => {
        await this.#moveArm();
        const slot = this.#slots.indexOf(barcode);
        if (slot < 0) throw this.#noVolume(barcode);
        this.#slots[slot] = null;
        drive.barcode = barcode;
        await this.#keepState();
      });
    } catch (error) {
      if (drive.barcode === null) drive.move('empty');
      else drive.move('ready');
      throw error;
    }
  }

  /** Makes what sits in the drive ready at its beginning. A user who still has the medium from before finds it not loaded. */
  async #thread(barcode: string, drive: VirtualDrive): Promise<Medium> {
    await this.#release(drive);
    drive.move('loading');
    try {
      await this.#around('load', () => this.#wait(this.#model?.loadSeconds));
    } catch (error) {
      drive.move(this.#closing.signal.aborted ? 'ready' : 'failed');
      drive.failure = (error as Error).message;
      throw error;
    }
    try {
      const cartridge = await this.#open(barcode);
      drive.cartridge = cartridge;
      drive.medium = this.#faults === null ? cartridge : withFaults(cartridge, this.#faults);
      return drive.medium;
    } finally {
      drive.move('ready');
    }
  }

  async #open(barcode: string): Promise<VirtualCartridge> {
    const model = this.#model;
    const cartridge = await loadVirtualCartridge(cartridgeFiles(libraryPaths(this.dir).cartridges, barcode), {
      mechanics: model === null ? null : (record) => new TapeMechanics(model, record.capacity, this.#clock, this.#closing.signal),
      ...(this.#openFile === undefined ? {} : { openFile: this.#openFile }),
    });
    if (cartridge.barcode === barcode) return cartridge;
    await cartridge.abandon();
    throw new HsmError('WRONG_VOLUME', `the cartridge labelled ${barcode} says that it is ${cartridge.barcode}`, { retry: 'other-copy' });
  }

  /** Ends the use of what is loaded, leaving the cartridge in the drive. */
  async #release(drive: VirtualDrive): Promise<void> {
    const cartridge = drive.cartridge;
    if (cartridge === null) return;
    const back = this.#model === null ? 0 : await this.#rewindSeconds(cartridge, this.#model);
    drive.cartridge = null;
    drive.medium = null;
    await cartridge.unload();
    await this.#wait(back);
  }

  async #rewindSeconds(cartridge: VirtualCartridge, model: TapeModel): Promise<number> {
    const here = cartridge.physicalPosition(await cartridge.position());
    return here === null ? 0 : rewindSeconds(model, here);
  }

  /** Back to a free slot; resolves with the error when what nobody had synchronized could not be made durable on the way. */
  async #putAway(drive: VirtualDrive): Promise<Error | null> {
    const barcode = drive.barcode;
    if (barcode === null) return null;
    const failure = await this.#release(drive).then(
      () => null,
      (error: Error) => error,
    );
    await this.#around('unload', () => this.#wait(this.#model?.unloadSeconds));
    await this.#withRobot(async () => {
      await this.#moveArm();
      drive.barcode = null;
      this.#putInSlot(barcode);
      if (drive.state !== 'failed') drive.move('empty');
      await this.#keepState();
    });
    return failure;
  }

  #moveArm(): Promise<void> {
    return this.#around('move', () => this.#wait(this.#model?.moveSeconds));
  }

  async #wait(seconds: number | undefined): Promise<void> {
    if (seconds !== undefined && seconds > 0) await pause(this.#clock, 1000 * seconds, this.#closing.signal);
  }

  #around<T>(operation: 'move' | 'load' | 'unload', action: () => Promise<T>): Promise<T> {
    return this.#faults === null ? action() : this.#faults.around(operation, action);
  }

  async #withRobot<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#robot.then(action);
    this.#robot = turn.catch(() => undefined);
    return turn;
  }

  #putInSlot(barcode: string): void {
    const free = this.#slots.indexOf(null);
    if (free < 0) this.#slots.push(barcode);
    else this.#slots[free] = barcode;
  }

  #keepState(): Promise<void> {
    const kept = this.#keeping.then(() => this.#writeState());
    this.#keeping = kept.catch(() => undefined);
    return kept;
  }

  async #writeState(): Promise<void> {
    const drives = [...this.#drives.values()].map(({ name, barcode, admin, reason }) => [name, { barcode, admin, reason }] as const);
    await writeLibraryState(this.dir, { version: 1, drives: Object.fromEntries(drives), slots: [...this.#slots] });
  }
}
