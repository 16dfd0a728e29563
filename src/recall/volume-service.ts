/** Reads volumes as the scheduler decides: asks for drives, loads, restores container after container, and gives drives back. */
import { errorCode, HsmError } from '../errors.ts';
import type { TapeModel } from '../library/timing.ts';
import type { Medium } from '../media/medium.ts';
import { BlockReader } from './block-reader.ts';
import type { Log } from './recaller-options.ts';
import { priorities, type RecallFailure, type RecallRequest } from './requests.ts';
import { batchFiles, restoreContainer, type RestoreContext } from './restorer.ts';
import { Scheduler, type SchedulerSettings, type VolumeEntry } from './scheduler/scheduler.ts';
import type { Geometry } from './scheduler/travel.ts';

/** What the engine needs of the drives. */
export interface RecallDrives {
  /**
   * Runs `use` with the volume loaded in a drive that nobody else uses meanwhile, none of `avoid`. Interactive callers go first. `granted` is
   * called when there is a drive, before the volume is loaded. `loading` ends the wait for an operator's hand.
   */
  withVolume<T>(
    barcode: string,
    purpose: 'read',
    priority: 'interactive' | 'bulk',
    use: (medium: Medium) => Promise<T>,
    options?: { readonly signal?: AbortSignal; readonly patient?: boolean; readonly avoid?: readonly string[]; readonly granted?: (drive: string) => void; readonly loading?: AbortSignal },
  ): Promise<T>;
  /** Somebody of a better priority waits for a drive. */
  contended(priority: 'interactive' | 'bulk'): boolean;
  /** Volumes that sit in drives: nothing is gained by waiting for company. */
  readonly loaded: readonly string[];
  /** How many volumes may be read at a time, of drives that are up. */
  readonly readable: number;
  /** Names of drives that are up. */
  readonly usable: readonly string[];
  /** Called whenever a drive was set up or down. */
  onChange(listener: () => void): void;
}

export interface VolumeServiceOptions {
  readonly drives: RecallDrives;
  readonly settings: SchedulerSettings;
  readonly context: RestoreContext;
  /** How the drives of this volume move; null: unknown. */
  readonly modelOf: (volume: string) => TapeModel | null;
  /** Where blocks of a volume that is not loaded lie, roughly; null: unknown. */
  readonly geometryOf: (volume: string) => Promise<Geometry | null>;
  readonly log: Log;
}

export class VolumeService {
  readonly scheduler: Scheduler<RecallRequest>;
  readonly #options: VolumeServiceOptions;
  /** Taken by the restorer, and not ended yet. */
  readonly #active = new Set<RecallRequest>();
  /** Waits for drives, by volume. */
  readonly #waiting = new Map<string, AbortController>();
  /** Volumes that are on their way into a drive, perhaps by an operator's hand. */
  readonly #loading = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();
  /** The drive that a volume is read in. */
  readonly #driveOf = new Map<string, string>();
  /** Drives in which reading a volume failed. */
  readonly #failedIn = new Map<string, Set<string>>();
  /** `VOLUME/DRIVE` pairs that a request failed with. */
  readonly #tried = new WeakMap<RecallRequest, Set<string>>();
  #timer: NodeJS.Timeout | undefined;
  #asked = false;
  #stopping = false;

  constructor(options: VolumeServiceOptions) {
    this.#options = options;
    this.scheduler = new Scheduler(options.settings, () => Date.now());
    options.drives.onChange(() => {
      // A drive that comes back is cleaned or repaired.
      this.#failedIn.clear();
      this.reconsiderDrives();
    });
  }

  /** Queues it on the volume of its first copy. */
  add(request: RecallRequest): void {
    const volume = request.copies[0]?.volume ?? '';
    const { entry, isNew } = this.scheduler.add(volume, request, this.#options.drives.loaded.includes(volume));
    request.state = entry.phase === 'reading' ? 'loading' : 'queued';
    if (isNew) void this.#place(entry);
    this.#soon();
  }

  /** Out of its queue; what the restorer has is not touched. */
  remove(request: RecallRequest): void {
    this.#active.delete(request);
    this.scheduler.delete(request);
    this.#withdrawUnwanted();
    this.#soon();
  }

  /** True while the restorer has it: it ends there. */
  isActive(request: RecallRequest): boolean {
    return this.#active.has(request);
  }

  /** Its volume failed it in a drive. True: there is another drive that it can be tried in, and the volume will be read there. */
  tryElsewhere(request: RecallRequest): boolean {
    const volume = request.copies[0]?.volume;
    const drive = volume === undefined ? undefined : this.#driveOf.get(volume);
    if (volume === undefined || drive === undefined) return false;
    remember(this.#failedIn, volume, drive);
    remember(this.#tried, request, `${volume}/${drive}`);
    return this.#drivesLeft(volume).some((name) => this.#tried.get(request)?.has(`${volume}/${name}`) !== true);
  }

  /** Drives in which reading it has not failed. */
  #drivesLeft(volume: string): string[] {
    const failed = this.#failedIn.get(volume);
    return this.#options.drives.usable.filter((name) => failed?.has(name) !== true && !this.scheduler.pauses.drives.includes(name));
  }

  /** Where it is not to be loaded, unless nothing else is left. */
  #avoided(volume: string): string[] {
    const failed = this.#drivesLeft(volume).length > 0 ? [...(this.#failedIn.get(volume) ?? [])] : [];
    return [...this.scheduler.pauses.drives, ...failed];
  }

  /** Its priority changed. */
  moved(request: RecallRequest): void {
    this.scheduler.moved(request);
    this.#soon();
  }

  /** Seconds until each request is on disk, where that can be told. */
  etas(): Map<RecallRequest, number> {
    const { drives } = this.#options;
    return this.scheduler.etas({ drives: drives.readable, loaded: drives.loaded });
  }

  /** Starts what can be started. Called after every change. */
  dispatch(): void {
    if (this.#stopping) return;
    const { drives } = this.#options;
    const { start, withdraw, wakeAt } = this.scheduler.decide({ drives: drives.readable, loaded: drives.loaded });
    for (const volume of withdraw) this.#waiting.get(volume)?.abort();
    for (const volume of start) this.#start(volume);
    clearTimeout(this.#timer);
    this.#timer = wakeAt === null ? undefined : setTimeout(() => this.dispatch(), Math.max(0, wakeAt - Date.now()));
  }

  /** Drives are chosen anew by those that wait for one. */
  reconsiderDrives(): void {
    for (const waiting of this.#waiting.values()) waiting.abort();
    this.dispatch();
  }

  /** Resolves when no volume is read any more; what is still queued stays so. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    for (const waiting of this.#waiting.values()) waiting.abort();
    for (const loading of this.#loading.values()) loading.abort(new HsmError('ECANCELED', 'the daemon stops', { retry: 'later' }));
    await Promise.allSettled(this.#running);
  }

  /** No operator goes for a cartridge that nobody wants any more. */
  #withdrawUnwanted(): void {
    for (const [volume, loading] of this.#loading) {
      if ((this.scheduler.entry(volume)?.queue.size ?? 0) === 0) loading.abort(new HsmError('ECANCELED', `nobody wants volume ${volume} any more`, { retry: 'later' }));
    }
  }

  /** Once for all that changes in this turn of the event loop. */
  #soon(): void {
    if (this.#asked) return;
    this.#asked = true;
    queueMicrotask(() => {
      this.#asked = false;
      this.dispatch();
    });
  }

  async #place({ volume, queue }: VolumeEntry<RecallRequest>): Promise<void> {
    try {
      const geometry = await this.#options.geometryOf(volume);
      if (queue.geometry === null && geometry !== null) queue.placed(0, geometry);
    } catch (error) {
      this.#options.log.warn({ error, volume }, 'where the blocks of a volume lie is not known');
    }
  }

  #start(volume: string): void {
    const entry = this.scheduler.entry(volume);
    if (entry === undefined) return;
    const run = this.#turn(entry).finally(() => {
      this.#running.delete(run);
      this.scheduler.ended(volume);
      this.dispatch();
    });
    this.#running.add(run);
  }

  /** One wait for a drive and one use of it. */
  async #turn(entry: VolumeEntry<RecallRequest>): Promise<void> {
    const { drives, log } = this.#options;
    const { patient, queue, volume } = entry;
    const priority = classOf(entry);
    const waiting = new AbortController();
    const loading = new AbortController();
    this.#waiting.set(volume, waiting);
    const moved = !drives.loaded.includes(volume);
    let inDrive = '';
    const granted = (drive: string): void => {
      this.#waiting.delete(volume);
      this.#loading.set(volume, loading);
      inDrive = drive;
      this.scheduler.granted(volume, drive, moved);
      for (const request of queue.inOrder()) request.state = 'loading';
    };
    const options = { signal: waiting.signal, patient, avoid: this.#avoided(volume), granted, loading: loading.signal };
    try {
      await drives.withVolume(volume, 'read', priority, (medium) => this.#read(entry, medium, inDrive), options);
    } catch (error) {
      // Who asked for it meanwhile is served in the next turn.
      if (waiting.signal.aborted || loading.signal.aborted) return;
      if (!patient && isDriveDown(error)) {
        this.#holdBack(entry, error as Error);
        return;
      }
      log.error({ error, volume }, 'a volume could not be read');
      const failure = { code: 'EIO', message: `volume ${volume}: ${(error as Error).message}` };
      for (const request of queue.inOrder()) this.#failed(entry, request, failure);
    } finally {
      if (patient) entry.patient = false;
      this.#waiting.delete(volume);
      this.#loading.delete(volume);
      this.#driveOf.delete(volume);
      for (const request of queue.inOrder()) request.state = 'queued';
    }
  }

  #failed({ queue }: VolumeEntry<RecallRequest>, request: RecallRequest, failure: RecallFailure): void {
    queue.delete(request);
    this.#options.context.failed(request, failure, 'other-copy');
  }

  /** What has a copy on another volume is had from there; the rest waits for a drive, as long as that takes. */
  #holdBack(entry: VolumeEntry<RecallRequest>, { message }: Error): void {
    entry.patient = true;
    for (const request of entry.queue.inOrder()) {
      if (request.copies.length > 1) this.#failed(entry, request, { code: 'EIO', message });
      else request.reason = message;
    }
  }

  async #read(entry: VolumeEntry<RecallRequest>, medium: Medium, drive: string): Promise<void> {
    const { drives, context } = this.#options;
    const { queue, volume } = entry;
    this.#driveOf.set(volume, drive);
    this.#loading.delete(volume);
    if (entry.patient) for (const request of queue.inOrder()) request.reason = null;
    entry.patient = false;
    const geometry = this.#geometryOf(medium);
    this.scheduler.loaded(volume, await medium.position(), geometry);
    const { pauses } = this.scheduler;
    // One container at least: who waits for a drive may be waiting for another one, and would then be waited for in turn for ever.
    const mayRead = (read: number): boolean =>
      read === 0 ? pauses.ofVolume(volume) === null && !pauses.drives.includes(drive) : !this.scheduler.mustLeave(volume, drives.loaded) && !drives.contended(classOf(entry));
    const reader = new BlockReader(medium, geometry);
    for (let read = 0; !this.#stopping && mayRead(read); read += 1) {
      if (medium.recommendedOrder !== undefined) await queue.planBy((stretches) => medium.recommendedOrder!(stretches));
      const batch = this.scheduler.take(volume, batchFiles);
      if (batch.length === 0) return;
      for (const request of batch) this.#active.add(request);
      await restoreContainer(reader, batch, context);
      // What failed here, and what is left, is read in another drive.
      if (this.#avoided(volume).includes(drive)) return;
      this.scheduler.passed(volume, await reader.here().catch(() => 0));
    }
  }

  /** The medium itself knows best where its blocks lie. */
  #geometryOf(medium: Medium): Geometry | null {
    const model = this.#options.modelOf(medium.barcode);
    const start = medium.physicalPosition(0);
    return model === null || start === null ? null : { model, position: (block) => medium.physicalPosition(block) ?? start };
  }
}

function remember<K extends WeakKey | string>(sets: { get(key: K): Set<string> | undefined; set(key: K, value: Set<string>): unknown }, key: K, value: string): void {
  const known = sets.get(key);
  if (known === undefined) sets.set(key, new Set([value]));
  else known.add(value);
}

const classOf = ({ queue }: VolumeEntry<RecallRequest>): 'interactive' | 'bulk' => ((queue.priority ?? 0) >= priorities.interactive ? 'interactive' : 'bulk');

/** An operator took the drives away: no fault of the volume. */
const isDriveDown = (error: unknown): boolean => ['NO_DRIVE', 'DRIVE_DOWN'].includes(errorCode(error));
