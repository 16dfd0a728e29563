/** Decides which volumes are read next and when one gives its drive back. Pure: it is told what happened, and its clock is its caller's. */
import { mustLeave, ranked, type Candidate } from './choice.ts';
import { endOf, etas, readSeconds } from './eta.ts';
import { Pace } from './pace.ts';
import { Pauses } from './pauses.ts';
import type { Geometry } from './travel.ts';
import { VolumeQueue, type Queued } from './volume-queue.ts';

export interface SchedulerSettings {
  /** How long the first request on a volume that is in no drive waits for company, ms. */
  readonly batchWindowMs: number;
  /** After so long a volume gives its drive to others that are as urgent, ms; 0: never. */
  readonly turnMs: number;
  /** Requests of one owner in a round, when there are several owners. */
  readonly share: number;
  /** What changing a volume costs, seconds. */
  readonly mountSeconds: number;
}

/** A volume waits for a drive, then is read, until its turn ends. */
type Phase = 'idle' | 'waiting' | 'reading';

export interface VolumeEntry<T extends Queued> {
  readonly volume: string;
  readonly queue: VolumeQueue<T>;
  phase: Phase;
  /** The drive of its turn. */
  drive: string | null;
  /** No drive could be had, and none of its requests has a copy elsewhere: they wait until one is up. */
  patient: boolean;
  /** Not before then does it ask for a drive, ms. */
  readyAt: number;
  /** When its turn began: its volume was loaded, ms. */
  since: number;
  /** Of the most urgent request when it began to wait for a drive. */
  asked: number;
  leftAt: number | null;
  yielded: boolean;
  /** When its drive was granted, ms. */
  grantedAt: number;
  /** On its way into the drive. */
  isMoving: boolean;
  /** What is being restored of it, since when, ms, and from before which block. */
  taken: readonly T[];
  takenAt: number;
  takenFrom: number;
  /** Came while it waited patiently: a request that may have a copy elsewhere. */
  impatient: boolean;
}

export interface Resources {
  /** How many volumes may be read at a time. */
  readonly drives: number;
  /** The volumes that sit in drives. */
  readonly loaded: readonly string[];
}

export interface Decision {
  /** These ask for a drive now. */
  readonly start: readonly string[];
  /** These stop waiting for one. */
  readonly withdraw: readonly string[];
  /** When to ask again, ms; null: when something happens. */
  readonly wakeAt: number | null;
}

export class Scheduler<T extends Queued> {
  readonly pauses = new Pauses();
  readonly #settings: SchedulerSettings;
  readonly #now: () => number;
  readonly #entries = new Map<string, VolumeEntry<T>>();
  readonly pace: Pace;

  constructor(settings: SchedulerSettings, now: () => number) {
    this.#settings = settings;
    this.pace = new Pace(settings.mountSeconds);
    this.#now = now;
  }

  get entries(): Iterable<VolumeEntry<T>> {
    return this.#entries.values();
  }

  entry(volume: string): VolumeEntry<T> | undefined {
    return this.#entries.get(volume);
  }

  /** The volume's entry, and whether it is new. */
  add(volume: string, request: T, loaded: boolean): { readonly entry: VolumeEntry<T>; readonly isNew: boolean } {
    let entry = this.#entries.get(volume);
    const isNew = entry === undefined;
    if (entry === undefined) {
      const queue = new VolumeQueue<T>(this.#settings.share);
      entry = { volume, queue, phase: 'idle', drive: null, patient: false, readyAt: 0, since: 0, asked: 0, leftAt: null, yielded: false, grantedAt: 0, isMoving: false, taken: [], takenAt: 0, takenFrom: 0, impatient: false };
      this.#entries.set(volume, entry);
    }
    if (entry.queue.size === 0) entry.readyAt = this.#now() + (loaded ? 0 : this.#settings.batchWindowMs);
    entry.queue.add(request);
    entry.impatient ||= entry.patient;
    return { entry, isNew };
  }

  /** Of whichever volume it is queued on. */
  delete(request: T): void {
    for (const { queue } of this.#entries.values()) queue.delete(request);
  }

  /** Its priority changed. */
  moved(request: T): void {
    for (const { queue } of this.#entries.values()) queue.moved(request);
  }

  /** Which volumes are to ask for a drive, and which are to stop asking. What is started counts as waiting from now on. */
  decide({ drives, loaded }: Resources): Decision {
    const now = this.#now();
    const withdraw = this.#pointless();
    const candidates: (Candidate & { readonly entry: VolumeEntry<T> })[] = [];
    let wakeAt: number | null = null;
    for (const entry of this.#entries.values()) {
      if (entry.phase !== 'idle') continue;
      if (entry.queue.size === 0) {
        this.#entries.delete(entry.volume);
        continue;
      }
      if (this.pauses.ofVolume(entry.volume) !== null) continue;
      if (entry.readyAt > now) wakeAt = Math.min(wakeAt ?? Infinity, entry.readyAt);
      else candidates.push({ ...candidateOf(entry, loaded), entry });
    }
    let free = drives - [...this.#entries.values()].filter(({ phase, patient }) => phase !== 'idle' && !patient).length;
    const start: string[] = [];
    const left: Candidate[] = [];
    for (const candidate of ranked(candidates, now, this.#settings.mountSeconds)) {
      if (!candidate.entry.patient && free <= 0) {
        left.push(candidate);
        continue;
      }
      if (!candidate.entry.patient) free -= 1;
      Object.assign(candidate.entry, { phase: 'waiting', asked: candidate.priority, impatient: false });
      start.push(candidate.volume);
    }
    if (start.length > 0) for (const entry of this.#entries.values()) entry.yielded = false;
    const best = left[0];
    if (best !== undefined) withdraw.push(...this.#outranked(best, withdraw));
    return { start, withdraw, wakeAt };
  }

  /** It has a drive; its volume is being loaded. `moved`: it was not in the drive before. */
  granted(volume: string, drive: string, moved: boolean): void {
    const entry = this.#entries.get(volume);
    if (entry !== undefined) Object.assign(entry, { phase: 'reading', drive, since: this.#now(), grantedAt: this.#now(), isMoving: moved });
  }

  /** Its turn begins, with the head before block `here`. */
  loaded(volume: string, here: number, geometry: Geometry | null): void {
    const entry = this.#entries.get(volume);
    if (entry === undefined) return;
    const now = this.#now();
    if (entry.isMoving) this.pace.mounted((now - entry.grantedAt) / 1000);
    entry.since = now;
    entry.isMoving = false;
    entry.queue.placed(here, geometry);
  }

  /** Takes out what is read next, at most `limit` requests of one container; none: nothing is wanted of the volume any more. */
  take(volume: string, limit: number): T[] {
    const entry = this.#entries.get(volume);
    if (entry === undefined) return [];
    entry.taken = entry.queue.take(limit);
    entry.takenAt = this.#now();
    entry.takenFrom = entry.queue.here;
    return [...entry.taken];
  }

  /** What was taken was read; the head is before block `here`. */
  passed(volume: string, here: number): void {
    const entry = this.#entries.get(volume);
    if (entry === undefined) return;
    const { geometry } = entry.queue;
    let bytes = 0;
    let modelled = 0;
    let head = entry.takenFrom;
    for (const request of entry.taken) {
      bytes += request.copies[0]?.length ?? 0;
      if (geometry !== null) modelled += readSeconds(geometry, head, request);
      head = endOf(request);
    }
    this.pace.measured(bytes, (this.#now() - entry.takenAt) / 1000, geometry === null ? null : modelled);
    entry.taken = [];
    entry.queue.passed(here);
  }

  /** Seconds until each request is served, of those of which that can be told. */
  etas({ drives, loaded }: Resources): Map<T, number> {
    const now = this.#now();
    const { turnMs } = this.#settings;
    const outlooks = [...this.#entries.values()]
      .filter(({ patient, volume }) => !patient && this.pauses.ofVolume(volume) === null)
      .map((entry) => ({
        ...candidateOf(entry, loaded),
        reading: entry.phase === 'reading',
        loadSeconds: entry.isMoving ? Math.max(0, this.pace.mountSeconds - (now - entry.grantedAt) / 1000) : 0,
        turnSeconds: (turnMs - (now - entry.since)) / 1000,
        geometry: entry.queue.geometry,
        here: entry.taken.length > 0 ? entry.takenFrom : entry.queue.here,
        taken: entry.taken,
        takenSeconds: entry.taken.length > 0 ? (now - entry.takenAt) / 1000 : 0,
        queued: entry.queue.inOrder(),
      }));
    return etas(outlooks, drives, turnMs / 1000, now, this.pace);
  }

  /** True when the volume is to give its drive back after the container that was read. */
  mustLeave(volume: string, loaded: readonly string[]): boolean {
    const entry = this.#entries.get(volume);
    if (entry === undefined) return true;
    if (this.pauses.ofVolume(volume) !== null || this.pauses.drives.includes(entry.drive ?? '')) return true;
    const now = this.#now();
    const waiting = [...this.#entries.values()].filter(
      (each) => each !== entry && each.phase !== 'reading' && !each.patient && each.queue.size > 0 && each.readyAt <= now && this.pauses.ofVolume(each.volume) === null,
    );
    const turn = { priority: entry.queue.priority ?? entry.asked, since: entry.since };
    if (!mustLeave(turn, waiting.map((each) => candidateOf(each, loaded)), now, this.#settings.turnMs)) return false;
    entry.yielded = true;
    return true;
  }

  /** Its turn, or its wait for a drive, ended. */
  ended(volume: string): void {
    const entry = this.#entries.get(volume);
    if (entry === undefined) return;
    if (entry.phase === 'reading') entry.leftAt = this.#now();
    entry.phase = 'idle';
    entry.drive = null;
    entry.isMoving = false;
    entry.taken = [];
  }

  /** Waits that are none any more, or have become more urgent than what they were begun as. */
  #pointless(): string[] {
    const isPointless = ({ phase, queue, asked, volume, impatient }: VolumeEntry<T>): boolean =>
      phase === 'waiting' && (impatient || (queue.priority ?? asked) > asked || queue.size === 0 || this.pauses.ofVolume(volume) !== null);
    return [...this.#entries.values()].filter(isPointless).map(({ volume }) => volume);
  }

  #outranked(best: Candidate, already: readonly string[]): string[] {
    const waiting = [...this.#entries.values()].filter((each) => each.phase === 'waiting' && !each.patient && !already.includes(each.volume) && each.asked < best.priority);
    return waiting.sort((a, b) => a.asked - b.asked).slice(0, 1).map(({ volume }) => volume);
  }
}

function candidateOf<T extends Queued>({ volume, queue, leftAt, yielded }: VolumeEntry<T>, loaded: readonly string[]): Candidate {
  return { volume, priority: queue.priority ?? 0, oldest: queue.oldest ?? 0, waiters: queue.waiters, loaded: loaded.includes(volume), leftAt, yielded };
}
