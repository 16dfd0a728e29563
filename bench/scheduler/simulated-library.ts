/** The scheduler on simulated drives: its decisions, the model's times, and no waiting. */
import { rewindSeconds, mountSeconds } from '../../src/library/timing.ts';
import { endOf, readSeconds } from '../../src/recall/scheduler/eta.ts';
import { Scheduler, type SchedulerSettings } from '../../src/recall/scheduler/scheduler.ts';
import { geometry, model, type SimulatedRequest } from './requests.ts';

interface Drive {
  readonly name: string;
  volume: string | null;
  head: number;
  busy: boolean;
}

export interface Served {
  readonly request: SimulatedRequest;
  /** Seconds. */
  readonly wait: number;
  /** What was foretold when it came, seconds; null: nothing. */
  readonly foretold: number | null;
}

export interface SimulationOptions {
  readonly drives: number;
  readonly settings?: Partial<SchedulerSettings>;
  /** How much slower or faster real drives are than the model: 1 is as modelled. */
  readonly reality?: (request: SimulatedRequest) => number;
}

export class SimulatedLibrary {
  /** ms. */
  now = 0;
  mounts = 0;
  readonly served: Served[] = [];
  readonly scheduler: Scheduler<SimulatedRequest>;
  readonly #drives: Drive[];
  readonly #reality: (request: SimulatedRequest) => number;
  readonly #events: { readonly at: number; readonly run: () => void }[] = [];
  readonly #foretold = new Map<SimulatedRequest, number | null>();

  constructor({ drives, settings = {}, reality = () => 1 }: SimulationOptions) {
    this.#drives = Array.from({ length: drives }, (_, i) => ({ name: `drive${i}`, volume: null, head: 0, busy: false }));
    this.#reality = reality;
    this.scheduler = new Scheduler({ batchWindowMs: 20, turnMs: 900_000, share: 64, mountSeconds: mountSeconds(model), ...settings }, () => this.now);
  }

  /** All requests, each at its createdAt; runs until all are served. */
  run(requests: readonly SimulatedRequest[]): readonly Served[] {
    for (const request of requests) this.#at(request.createdAt, () => this.#arrive(request));
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.now = next.at;
      next.run();
    }
    return this.served;
  }

  #arrive(request: SimulatedRequest): void {
    const { entry, isNew } = this.scheduler.add(request.volume, request, this.#loaded.includes(request.volume));
    if (isNew) entry.queue.placed(0, geometry);
    this.#poke();
    this.#foretold.set(request, this.scheduler.etas({ drives: this.#drives.length, loaded: this.#loaded }).get(request) ?? null);
  }

  #poke(): void {
    const { start, withdraw, wakeAt } = this.scheduler.decide({ drives: this.#drives.length, loaded: this.#loaded });
    for (const volume of withdraw) this.scheduler.ended(volume);
    for (const volume of start) this.#mount(volume);
    if (wakeAt !== null) this.#at(wakeAt, () => this.#poke());
  }

  #mount(volume: string): void {
    const drive = this.#drives.find((each) => each.volume === volume) ?? this.#drives.find((each) => !each.busy && each.volume === null) ?? this.#drives.find((each) => !each.busy);
    if (drive === undefined || drive.busy) throw new Error(`no drive is free for ${volume}`);
    const moved = drive.volume !== volume;
    const seconds = moved ? mountSeconds(model) + rewindSeconds(model, geometry.position(drive.head)) : 0;
    Object.assign(drive, { busy: true, volume, head: moved ? 0 : drive.head });
    this.mounts += Number(moved);
    this.scheduler.granted(volume, drive.name, moved);
    this.#after(seconds, () => {
      this.scheduler.loaded(volume, drive.head, geometry);
      this.#read(drive, volume);
    });
  }

  #read(drive: Drive, volume: string): void {
    const batch = this.scheduler.mustLeave(volume, this.#loaded) ? [] : this.scheduler.take(volume, 512);
    if (batch.length === 0) {
      drive.busy = false;
      this.scheduler.ended(volume);
      this.#poke();
      return;
    }
    let seconds = 0;
    for (const request of batch) {
      seconds += readSeconds(geometry, drive.head, request) * this.#reality(request);
      drive.head = endOf(request);
      const wait = (this.now - request.createdAt) / 1000 + seconds;
      this.served.push({ request, wait, foretold: this.#foretold.get(request) ?? null });
    }
    this.#after(seconds, () => {
      this.scheduler.passed(volume, drive.head);
      this.#read(drive, volume);
    });
  }

  get #loaded(): string[] {
    return this.#drives.flatMap(({ volume }) => (volume === null ? [] : [volume]));
  }

  #after(seconds: number, run: () => void): void {
    this.#at(this.now + 1000 * seconds, run);
  }

  #at(at: number, run: () => void): void {
    let i = this.#events.length;
    while (i > 0 && this.#events[i - 1]!.at <= at) i -= 1;
    this.#events.splice(i, 0, { at, run });
  }

  #next(): { readonly at: number; readonly run: () => void } | undefined {
    return this.#events.pop();
  }
}
