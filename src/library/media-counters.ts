/** What drives and volumes go through: counted in memory as it happens, added to the catalogue now and then. */
import type { Catalog, NewUse, UseCounts } from '../catalog/model.ts';
import { newMediumCounters, withMetrics, type MediumCounters } from '../media/decorators/with-metrics.ts';
import type { Medium } from '../media/medium.ts';
import type { MediaFailure } from './drive-pool.ts';

type CountersCatalog = Pick<Catalog, 'addUse'>;
type Changes = { -readonly [K in keyof NewUse]: NewUse[K] };

/** A volume in a drive: what passed, and how much of that is in the catalogue's hands. */
interface Mount {
  readonly drive: string;
  readonly volume: string;
  readonly counters: MediumCounters;
  taken: MediumCounters;
}

const errorKeys = { load: 'loadErrors', read: 'readErrors', write: 'writeErrors' } as const;

/** A process that dies loses what it counted since the last flush. */
export class MediaCounters {
  readonly #catalog: CountersCatalog;
  readonly #driveKey: (drive: string) => string;
  readonly #now: () => number;
  /** By drive: nothing passes any more through what was in it before. */
  readonly #mounts = new Map<string, Mount>();
  /** By drive: what passed through volumes that were in it before. */
  readonly #before = new Map<string, MediumCounters>();
  #changes = new Map<string, Changes>();
  #flushing: Promise<void> = Promise.resolve();

  /** `driveKey`: under what a drive is counted, by its name. */
  constructor(catalog: CountersCatalog, driveKey: (drive: string) => string = (drive) => drive, now: () => number = Date.now) {
    this.#catalog = catalog;
    this.#driveKey = driveKey;
    this.#now = now;
  }

  /** The volume that a drive has just loaded, as its users are to get it: what they do with it is counted. */
  mounted(medium: Medium, drive: string): Medium {
    this.#take(drive);
    this.#before.set(drive, this.passed(drive));
    const counters = newMediumCounters();
    const mount = { drive, volume: medium.barcode, counters, taken: newMediumCounters() };
    this.#mounts.set(drive, mount);
    this.#both(drive, medium.barcode, { mounts: 1 });
    return withMetrics(medium, counters);
  }

  /** What passed through a drive since the start. */
  passed(drive: string): MediumCounters {
    const sum = { ...(this.#before.get(drive) ?? newMediumCounters()) };
    const now = this.#mounts.get(drive)?.counters;
    if (now !== undefined) for (const key of Object.keys(sum) as (keyof MediumCounters)[]) sum[key] += now[key];
    return sum;
  }

  /** Counted for drive and volume alike: whose fault it was is another question (blame.ts). */
  failed({ drive, volume, operation }: MediaFailure): void {
    this.#both(drive, volume, { [errorKeys[operation]]: 1 });
  }

  /** Errors that the drive got over itself, as it told. */
  softErrors(drive: string, volume: string, errors: Partial<Pick<UseCounts, 'softReadErrors' | 'softWriteErrors'>>): void {
    this.#both(drive, volume, errors);
  }

  /** A cleaning cartridge was in a drive. */
  cleaned(barcode: string): void {
    this.#add('cleaning', barcode, { mounts: 1 });
  }

  /** What was counted until now is in the catalogue when it resolves. After a failure the next flush makes up for it. */
  flush(): Promise<void> {
    const flushed = this.#flushing.then(() => this.#write());
    this.#flushing = flushed.catch(() => undefined);
    return flushed;
  }

  async #write(): Promise<void> {
    for (const drive of this.#mounts.keys()) this.#take(drive);
    if (this.#changes.size === 0) return;
    const changes = this.#changes;
    this.#changes = new Map();
    try {
      await this.#catalog.addUse([...changes.values()]);
    } catch (error) {
      const since = this.#changes;
      this.#changes = changes;
      for (const change of since.values()) this.#add(change.kind, change.name, change, change.lastUsedAt);
      throw error;
    }
  }

  /** What passed since it was last looked at. */
  #take(drive: string): void {
    const mount = this.#mounts.get(drive);
    if (mount === undefined) return;
    const { counters, taken } = mount;
    const passed = {
      bytesRead: counters.bytesRead - taken.bytesRead,
      bytesWritten: counters.bytesWritten - taken.bytesWritten,
      motionMs: Math.floor(counters.transferMs + counters.locateMs) - Math.floor(taken.transferMs + taken.locateMs),
    };
    mount.taken = { ...counters };
    if (Object.values(passed).some((count) => count > 0)) this.#both(drive, mount.volume, passed);
  }

  #both(drive: string, volume: string, counts: Partial<UseCounts>): void {
    this.#add('drive', this.#driveKey(drive), counts);
    this.#add('volume', volume, counts);
  }

  #add(kind: NewUse['kind'], name: string, counts: Partial<UseCounts>, at = this.#now()): void {
    const key = `${kind} ${name}`;
    const change = this.#changes.get(key) ?? { kind, name, ...noUse, firstUsedAt: at, lastUsedAt: at };
    this.#changes.set(key, change);
    for (const count of countKeys) change[count] += counts[count] ?? 0;
    change.lastUsedAt = Math.max(change.lastUsedAt, at);
  }
}

export const noUse: UseCounts = { mounts: 0, bytesRead: 0, bytesWritten: 0, loadErrors: 0, readErrors: 0, writeErrors: 0, softReadErrors: 0, softWriteErrors: 0, motionMs: 0 };
const countKeys = Object.keys(noUse) as readonly (keyof UseCounts)[];
