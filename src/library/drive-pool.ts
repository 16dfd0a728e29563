/** Shares the drives of one library between those who read and those who write. */
import { HsmError, errorCode } from '../errors.ts';
import { decorate } from '../media/decorators/decorate.ts';
import type { Medium } from '../media/medium.ts';
import type { DriveState, DriveStatus, Library } from './library.ts';

export type DrivePurpose = 'read' | 'write';

/** Who goes first when a drive is handed over: the lowest number, then who came first. */
export const drivePriority = { interactive: 0, bulk: 1, archive: 2 } as const;
export type DrivePriority = keyof typeof drivePriority;

/** A drive as `hsm drive ls` shows it. */
export interface PooledDrive extends DriveStatus {
  readonly purpose: DrivePurpose | null;
  readonly priority: DrivePriority | null;
}

/** How volumes were loaded into a drive since the pool was opened. */
export interface LoadCounters {
  mounts: number;
  mountFailures: number;
  /** Of them, those that neither drive nor volume can be blamed for. */
  libraryFailures: number;
  mountMs: number;
}

export interface LeasedVolume {
  /** The same object for as long as the volume stays loaded, also over several leases. */
  readonly medium: Medium;
  readonly drive: string;
}

export interface LeaseOptions {
  /** Ends the wait for a drive (not the use of it) with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Where all that is in the way is a drive that is down, waits until it is up; else that is an error at once. */
  readonly patient?: boolean;
  /** Drives that are not to be used for it. */
  readonly avoid?: readonly string[];
  /** Ends the wait for an operator who is to put the volume into the drive, with the signal's reason as a LoadError's cause. */
  readonly loading?: AbortSignal;
  /** Called when there is a drive, before its volume is loaded. */
  readonly granted?: (drive: string) => void;
}

/** A drive and a volume did not get on with each other; whose fault it is, one failure does not tell. */
export interface MediaFailure {
  readonly drive: string;
  readonly volume: string;
  readonly operation: 'load' | 'read' | 'write';
  readonly code: string;
  readonly message: string;
}

export interface DrivePoolOptions {
  /** Told once a use of a volume. */
  readonly onFailure?: (failure: MediaFailure) => void;
  /** What a drive has just loaded, as its users are to get it. */
  readonly onMount?: (medium: Medium, drive: string) => Medium;
  /** How many drives readers and writers may have at a time; 0 or left out: all. One use that needs more gets them when it is alone. */
  readonly quotas?: Partial<Record<DrivePurpose, number>>;
}

/** A volume could not be loaded, or there is no drive for it. `code` is that of the library's own error. */
export class LoadError extends HsmError {
  readonly barcode: string;

  constructor(barcode: string, drive: string | null, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(errorCode(cause), `${barcode} cannot be loaded${drive === null ? '' : ` into ${drive}`}: ${why}`, {
      retry: cause instanceof HsmError ? cause.retry : 'other-copy',
      cause,
    });
    this.barcode = barcode;
  }
}

interface Drive {
  readonly name: string;
  state: DriveState;
  admin: 'up' | 'down';
  reason: string | null;
  barcode: string | null;
  /** The volume on its way out: until it has left nobody can load it elsewhere. */
  leaving: string | null;
  /** Null while nothing is loaded, or what is loaded was loaded by somebody else. */
  medium: Medium | null;
  /** The medium failed: what it says later is worth nothing until it is loaded anew, here or elsewhere. */
  spoiled: boolean;
  lease: Waiter | null;
  /** Somebody wants the drive itself, without a volume; called when it is free. */
  wanted: (() => void) | null;
  usedAt: number;
  /** When its last use ended, ms of performance.now(). */
  idleSince: number;
  readonly loads: LoadCounters;
}

interface Waiter {
  readonly barcodes: readonly string[];
  /** Null: none that quotas count. */
  readonly purpose: DrivePurpose | null;
  readonly priority: DrivePriority;
  readonly patient: boolean;
  readonly avoid: readonly string[];
  /** Its volume was to be taken out of a drive that it avoids: that is tried once. */
  moved: boolean;
  readonly grant: (drives: Drive[]) => void;
  readonly refuse: (error: Error) => void;
}

/**
 * Leases drives. A volume stays loaded after its use and the next user of it gets it without a move; an idle volume makes
 * room, the least recently used first, when another is wanted. Drives that are down are not used. There is no time limit.
 */
export class DrivePool {
  readonly #library: Library;
  readonly #onFailure: (failure: MediaFailure) => void;
  readonly #onMount: (medium: Medium, drive: string) => Medium;
  readonly #drives: Drive[];
  readonly #quotas: Partial<Record<DrivePurpose, number>>;
  #waiters: Waiter[] = [];
  readonly #listeners: (() => void)[] = [];
  #uses = 0;
  #closing = false;
  readonly #active = new Set<Promise<unknown>>();

  /** Takes the library over: nobody else may load or unload while the pool is open. */
  static async open(library: Library, options: DrivePoolOptions = {}): Promise<DrivePool> {
    const { drives } = await library.inventory();
    const pool = new DrivePool(library, drives, options);
    pool.#vacate();
    return pool;
  }

  private constructor(library: Library, drives: readonly DriveStatus[], { quotas, onFailure, onMount }: DrivePoolOptions) {
    this.#library = library;
    this.#quotas = quotas ?? {};
    this.#onFailure = onFailure ?? (() => undefined);
    this.#onMount = onMount ?? ((medium) => medium);
    this.#drives = drives.map(({ name, state, admin, reason, barcode }) => ({
      name,
      state,
      admin,
      reason,
      barcode,
      leaving: null,
      medium: null,
      spoiled: false,
      lease: null,
      wanted: null,
      usedAt: 0,
      idleSince: performance.now(),
      loads: { mounts: 0, mountFailures: 0, libraryFailures: 0, mountMs: 0 },
    }));
  }

  /** Loads one volume and lends it to `use`. Fails with LoadError when it cannot be loaded, else with what `use` fails with. */
  withVolume<T>(
    barcode: string,
    purpose: DrivePurpose,
    priority: DrivePriority,
    use: (medium: Medium, drive: string) => Promise<T>,
    options: LeaseOptions = {},
  ): Promise<T> {
    return this.withVolumes([barcode], purpose, priority, ([leased]) => use(leased!.medium, leased!.drive), options);
  }

  /** Lends several volumes, each in a drive of its own, all at once or not at all: two users can never wait for each other. */
  async withVolumes<T>(
    barcodes: readonly string[],
    purpose: DrivePurpose,
    priority: DrivePriority,
    use: (leased: LeasedVolume[]) => Promise<T>,
    options: LeaseOptions = {},
  ): Promise<T> {
    const drives = await this.#lease(barcodes, purpose, priority, options);
    for (const { name } of drives) options.granted?.(name);
    const done = this.#loadAndUse(drives, barcodes, use, options.loading);
    this.#active.add(done);
    try {
      return await done;
    } finally {
      this.#active.delete(done);
    }
  }

  /** True when somebody of a better priority waits for a drive: long users give theirs back at the next good moment. */
  contended(priority: DrivePriority): boolean {
    return this.#waiters.some((waiter) => drivePriority[waiter.priority] < drivePriority[priority]);
  }

  /** Drives that are up. */
  get up(): number {
    return this.#drives.filter(usable).length;
  }

  /** Their names. */
  get usable(): string[] {
    return this.#drives.filter(usable).map(({ name }) => name);
  }

  /** How many volumes can be read at a time. */
  get readable(): number {
    return Math.max(1, Math.min(this.up, this.#quota('read')));
  }

  /** The volumes that a user gets without a move. */
  get loaded(): string[] {
    return this.#drives.flatMap(({ barcode, admin }) => (barcode === null || admin === 'down' ? [] : [barcode]));
  }

  get loads(): readonly ({ readonly drive: string } & Readonly<LoadCounters>)[] {
    return this.#drives.map(({ name, loads }) => ({ drive: name, ...loads }));
  }

  get states(): PooledDrive[] {
    return this.#drives.map(({ name, state, admin, reason, barcode, lease }) => ({
      name,
      state,
      admin,
      reason,
      barcode,
      purpose: lease?.purpose ?? null,
      priority: lease === maintenance ? null : (lease?.priority ?? null),
    }));
  }

  /** A drive that goes down finishes the use that it is in; its volume then goes back to a slot, for the other drives. */
  async setDrive(name: string, admin: 'up' | 'down', reason: string | null): Promise<void> {
    this.#named(name);
    await this.#library.setDrive(name, admin, reason);
    await this.#refresh();
    this.#vacate();
    this.#dispatch();
    for (const listener of this.#listeners) listener();
  }

  /** `listener` is called whenever a drive was set up or down. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Refuses those who wait and waits for those who use; volumes stay where they are. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const waiter of this.#waiters.splice(0)) waiter.refuse(closed());
    await Promise.allSettled(this.#active);
  }

  /**
   * Runs `work` on a drive that is nobody else's and holds nothing: who uses it ends first, and its volume goes back to a slot. Others wait, or go to other
   * drives. `reason` is shown with the drive. Fails with `NO_DRIVE`, `EBUSY` when somebody does that already, and what `work` fails with. close() does not wait for it.
   */
  async maintain<T>(name: string, reason: string, work: () => Promise<T>): Promise<T> {
    const drive = this.#named(name);
    if (this.#closing) throw closed();
    if (drive.wanted !== null || drive.lease === maintenance) throw new HsmError('EBUSY', `${name} is being worked on already`, { retry: 'later' });
    await new Promise<void>((resolve) => {
      drive.wanted = resolve;
      this.#dispatch();
    });
    try {
      drive.reason = reason;
      await this.#library.unload(name);
      drive.leaving = null;
      this.#dispatch();
      return await work();
    } finally {
      await this.#refresh([drive]);
      drive.spoiled = false;
      this.#giveBack(drive);
      this.#vacate();
      this.#dispatch();
    }
  }

  #named(name: string): Drive {
    const drive = this.#drives.find((each) => each.name === name);
    if (drive !== undefined) return drive;
    throw new HsmError('NO_DRIVE', `no drive is named ${name}: the drives are ${this.#drives.map((each) => each.name).join(', ')}`);
  }

  /** Drives that are wanted themselves go first. */
  #handOver(): void {
    for (const drive of this.#drives) {
      if (drive.wanted === null || drive.lease !== null || drive.leaving !== null) continue;
      const taken = drive.wanted;
      Object.assign(drive, { wanted: null, lease: maintenance, leaving: drive.barcode, barcode: null, medium: null, state: 'busy' });
      taken();
    }
  }

  #lease(barcodes: readonly string[], purpose: DrivePurpose, priority: DrivePriority, { signal, patient = false, avoid = [] }: LeaseOptions): Promise<Drive[]> {
    return new Promise((resolve, reject) => {
      if (this.#closing) throw closed();
      signal?.throwIfAborted();
      if (new Set(barcodes).size !== barcodes.length) throw new HsmError('EINVAL', `one volume is asked for twice: ${barcodes.join(', ')}`);
      const onAbort = (): void => {
        this.#waiters = this.#waiters.filter((each) => each !== waiter);
        waiter.refuse(signal?.reason instanceof Error ? signal.reason : new HsmError('ECANCELED', 'nobody waits for the drive any more'));
        this.#dispatch();
      };
      const settled = (): void => signal?.removeEventListener('abort', onAbort);
      const waiter: Waiter = {
        barcodes,
        purpose,
        priority,
        patient,
        avoid,
        moved: false,
        grant: (drives) => (settled(), resolve(drives)),
        // Whatever a signal was aborted with is what the caller gets.
        refuse: (error) => (settled(), reject(error)),
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const rank = drivePriority[priority];
      const place = this.#waiters.findIndex((each) => drivePriority[each.priority] > rank);
      this.#waiters.splice(place === -1 ? this.#waiters.length : place, 0, waiter);
      this.#dispatch();
    });
  }

  /** Gives drives to all who can have them now, in order. Drives that an earlier waiter lacks company for are kept for it. */
  #dispatch(): void {
    this.#handOver();
    const kept = new Set<Drive>();
    for (const waiter of [...this.#waiters]) {
      const impossible = this.#impossible(waiter);
      if (impossible !== null) {
        this.#drop(waiter);
        waiter.refuse(impossible);
        continue;
      }
      const drives = this.#choose(waiter, kept);
      if (drives === null) {
        this.#moveAway(waiter);
        continue;
      }
      this.#drop(waiter);
      drives.forEach((drive, i) => {
        const barcode = waiter.barcodes[i] ?? null;
        if (drive.barcode !== barcode) {
          drive.medium = null;
          drive.leaving = drive.barcode;
        }
        drive.lease = waiter;
        drive.state = 'loading';
        // At once, so that nobody is given another drive for the same volume.
        drive.barcode = barcode;
      });
      waiter.grant(drives);
    }
  }

  /** Out of a drive that it avoids; where it stays there, no waiting helps. */
  #moveAway(waiter: Waiter): void {
    const holder = this.#drives.find(({ name, barcode }) => waiter.avoid.includes(name) && barcode !== null && waiter.barcodes.includes(barcode));
    if (holder === undefined || holder.lease !== null || holder.leaving !== null) return;
    if (waiter.moved) {
      this.#drop(waiter);
      waiter.refuse(new LoadError(holder.barcode ?? '', null, new HsmError('EIO', `it cannot be taken out of ${holder.name}, where it is not to be used`, { retry: 'other-copy' })));
      return;
    }
    waiter.moved = true;
    this.#vacate((drive) => drive === holder);
  }

  #drop(waiter: Waiter): void {
    this.#waiters = this.#waiters.filter((each) => each !== waiter);
  }

  /** Why no amount of waiting helps, or null. */
  #impossible({ barcodes, patient }: Waiter): LoadError | null {
    if (patient && this.#drives.some(({ admin }) => admin === 'down')) return null;
    for (const barcode of barcodes) {
      const holder = this.#drives.find((drive) => drive.barcode === barcode);
      if (holder !== undefined && !usable(holder) && holder.lease === null) {
        return new LoadError(barcode, null, new HsmError('DRIVE_DOWN', `it is in ${holder.name}, which is ${describe(holder)}`, { retry: 'other-copy' }));
      }
    }
    if (this.up >= barcodes.length) return null;
    const drives = this.#drives.map((drive) => `${drive.name} ${describe(drive)}`).join(', ');
    const cause = new HsmError('NO_DRIVE', `${this.up === 0 ? 'no drive is up' : `${barcodes.length} drives are needed and ${this.up} up`} (${drives}): hsm drive up NAME`, { retry: 'later' });
    return new LoadError(barcodes[0] ?? '', null, cause);
  }

  #choose({ barcodes, purpose, avoid }: Waiter, kept: Set<Drive>): Drive[] | null {
    if (this.#isOverQuota(purpose, barcodes.length)) return null;
    const chosen: Drive[] = [];
    const holders = barcodes.map((barcode) => this.#drives.find((drive) => drive.barcode === barcode));
    if (holders.some((drive) => drive !== undefined && drive.lease !== null)) return null;
    if (this.#drives.some(({ leaving }) => leaving !== null && barcodes.includes(leaving))) return null;
    const free = this.#drives
      .filter((drive) => usable(drive) && drive.lease === null && drive.wanted === null && drive.leaving === null && !kept.has(drive) && !avoid.includes(drive.name))
      .sort((a, b) => this.#worth(a) - this.#worth(b) || a.usedAt - b.usedAt);
    for (const holder of holders) {
      const drive = holder ?? free.find((each) => !chosen.includes(each) && !holders.includes(each));
      if (drive !== undefined && free.includes(drive)) chosen.push(drive);
    }
    if (chosen.length === barcodes.length) return chosen;
    for (const drive of chosen) kept.add(drive);
    return null;
  }

  #isOverQuota(purpose: DrivePurpose | null, wanted: number): boolean {
    if (purpose === null) return false;
    const used = this.#drives.filter(({ lease }) => lease?.purpose === purpose).length;
    return used > 0 && used + wanted > this.#quota(purpose);
  }

  #quota(purpose: DrivePurpose): number {
    return this.#quotas[purpose] || Infinity;
  }

  /** What is lost by unloading: nothing, a volume, a volume that somebody waits for. */
  #worth({ barcode }: Drive): number {
    if (barcode === null) return 0;
    return this.#waiters.some((waiter) => waiter.barcodes.includes(barcode)) ? 2 : 1;
  }

  async #loadAndUse<T>(drives: Drive[], barcodes: readonly string[], use: (leased: LeasedVolume[]) => Promise<T>, loading?: AbortSignal): Promise<T> {
    try {
      const loads = await Promise.allSettled(drives.map((drive, i) => this.#load(drive, barcodes[i]!, loading)));
      const leased = loads.map((load) => {
        if (load.status === 'rejected') throw load.reason;
        return load.value;
      });
      return await use(leased);
    } catch (error) {
      await this.#refresh(drives);
      throw error;
    } finally {
      for (const drive of drives) this.#giveBack(drive);
      this.#vacate();
      this.#dispatch();
    }
  }

  async #load(drive: Drive, barcode: string, loading?: AbortSignal): Promise<LeasedVolume> {
    try {
      if (drive.spoiled) await this.#putAway(drive);
      drive.medium ??= this.#watched(drive, await this.#mount(drive, barcode, loading));
    } catch (error) {
      if (errorCode(error) === 'EIO') this.#onFailure({ drive: drive.name, volume: barcode, operation: 'load', code: 'EIO', message: messageOf(error) });
      throw new LoadError(barcode, drive.name, error);
    }
    drive.state = 'busy';
    if (drive.leaving !== null) {
      drive.leaving = null;
      this.#dispatch();
    }
    return { medium: drive.medium, drive: drive.name };
  }

  async #mount({ name, loads }: Drive, barcode: string, loading?: AbortSignal): Promise<Medium> {
    const begin = performance.now();
    try {
      const medium = await this.#library.load(barcode, name, loading);
      loads.mounts += 1;
      return this.#onMount(medium, name);
    } catch (error) {
      // Nobody wants it any more: no failure.
      if (loading?.aborted === true) throw error;
      loads.mountFailures += 1;
      if (errorCode(error) !== 'EIO') loads.libraryFailures += 1;
      throw error;
    } finally {
      loads.mountMs += performance.now() - begin;
    }
  }

  async #putAway(drive: Drive): Promise<void> {
    drive.medium = null;
    drive.spoiled = false;
    // Its complaint is that of the operation that failed, which its user knows.
    await this.#library.unload(drive.name).catch(() => undefined);
  }

  #giveBack(drive: Drive): void {
    drive.lease = null;
    drive.leaving = null;
    drive.usedAt = ++this.#uses;
    drive.idleSince = performance.now();
    if (drive.state !== 'failed') drive.state = drive.barcode === null ? 'empty' : 'ready';
  }

  /** Resolves when the volume is in no drive: who uses it ends first. Nobody may ask for it any more. */
  async putBack(barcode: string): Promise<void> {
    for (let attempts = 0; ; ) {
      const drive = this.#drives.find((each) => each.barcode === barcode || each.leaving === barcode);
      if (drive === undefined) return;
      if (drive.state === 'failed') throw new HsmError('EIO', `${barcode} is stuck in ${drive.name}: ${drive.reason ?? 'the drive has failed'}`);
      if (drive.lease === null && drive.leaving === null) {
        if (attempts++ >= 2) throw new HsmError('EIO', `${barcode} cannot be taken out of ${drive.name}`, { retry: 'later' });
        this.#vacate((each) => each === drive);
      }
      await new Promise((resolve) => setTimeout(resolve, putBackPollMs));
      if (this.#closing) throw closed();
    }
  }

  /** Puts volumes that nobody used for so long, ms, back into their slots: tape lasts longer when it is not threaded. */
  dismountIdle(idleMs: number): void {
    const now = performance.now();
    this.#vacate((drive) => now - drive.idleSince >= idleMs);
  }

  /** Failures of the medium reach its user, and spoil it. */
  #watched(drive: Drive, medium: Medium): Medium {
    const watch = async <T>(operation: 'read' | 'write', work: Promise<T>): Promise<T> => {
      try {
        return await work;
      } catch (error) {
        const code = errorCode(error);
        if (operation === 'read' ? code === 'EIO' : !harmless.includes(code)) {
          if (!drive.spoiled) this.#onFailure({ drive: drive.name, volume: medium.barcode, operation, code, message: messageOf(error) });
          drive.spoiled = true;
        }
        throw error;
      }
    };
    return decorate(medium, {
      locate: (address) => watch('read', medium.locate(address)),
      readBlock: (into) => watch('read', medium.readBlock(into)),
      writeBlock: (data) => watch('write', medium.writeBlock(data)),
      writeFilemark: (options) => watch('write', medium.writeFilemark(options)),
    });
  }

  /** Takes the volumes out of idle drives, by default out of those that are down or did not get on with them. Where that fails, the volume is out of reach. */
  #vacate(isDue = (drive: Drive): boolean => drive.admin === 'down' || drive.spoiled): void {
    if (this.#closing) return;
    for (const drive of this.#drives) {
      if (!isDue(drive) || drive.state === 'failed' || drive.lease !== null || drive.leaving !== null || drive.barcode === null) continue;
      Object.assign(drive, { leaving: drive.barcode, barcode: null, medium: null, spoiled: false, state: 'busy' });
      void this.#library
        .unload(drive.name)
        .catch(() => undefined)
        .then(() => this.#refresh([drive]))
        .then(() => {
          drive.leaving = null;
          this.#dispatch();
        });
    }
  }

  /**
   * After a failure only the library knows where volumes are. A drive whose volume went has no medium any more; drives in the
   * hands of others are theirs to tell about.
   */
  async #refresh(own: readonly Drive[] = []): Promise<void> {
    let statuses: readonly DriveStatus[];
    try {
      statuses = (await this.#library.inventory()).drives;
    } catch (error) {
      const reason = `the inventory failed: ${error instanceof Error ? error.message : String(error)}`;
      for (const drive of own) Object.assign(drive, { state: 'failed', reason, medium: null });
      return;
    }
    for (const status of statuses) {
      const drive = this.#drives.find((each) => each.name === status.name);
      if (drive === undefined) continue;
      drive.admin = status.admin;
      if (drive.lease !== maintenance || own.includes(drive)) drive.reason = status.reason;
      if ((drive.lease !== null || drive.leaving !== null) && !own.includes(drive)) continue;
      if (drive.barcode !== status.barcode) drive.medium = null;
      drive.barcode = status.barcode;
      drive.state = status.state;
    }
  }
}

const putBackPollMs = 50;

/** The lease of a drive that is being worked on. */
const maintenance: Waiter = { barcodes: [], purpose: null, priority: 'archive', patient: false, avoid: [], moved: false, grant: () => undefined, refuse: () => undefined };

/** Failures of the caller, of the cartridge's tab and of its room spoil nothing. */
const harmless: readonly string[] = ['EINVAL', 'EBUSY', 'EROFS', 'ENOSPC', 'NOT_LOADED'];

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const usable = (drive: Drive): boolean => drive.admin === 'up' && drive.state !== 'failed';

const describe = (drive: Drive): string => {
  const state = drive.admin === 'down' ? 'down' : drive.state;
  return drive.reason === null ? state : `${state} (${drive.reason})`;
};

const closed = (): HsmError => new HsmError('ECANCELED', 'the drives are being closed: try again when the daemon runs', { retry: 'later' });
