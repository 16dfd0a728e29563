/** Decides which volumes are read next and when one gives its drive back. Pure: it is told what happened, and its clock is its caller's. */
import { mustLeave, ranked, type Candidate } from './choice.ts';
import { Pauses } from './pauses.ts';
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

  constructor(settings: SchedulerSettings, now: () => number) {
    this.#settings = settings;
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
      entry = { volume, queue, phase: 'idle', drive: null, patient: false, readyAt: 0, since: 0, asked: 0, leftAt: null, yielded: false, impatient: false };
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

  /** It has a drive; its volume is being loaded. */
  granted(volume: string, drive: string): void {
    const entry = this.#entries.get(volume);
    if (entry !== undefined) Object.assign(entry, { phase: 'reading', drive, since: this.#now() });
  }

  /** Its turn begins. */
  loaded(volume: string): void {
    const entry = this.#entries.get(volume);
    if (entry !== undefined) entry.since = this.#now();
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
