/** Failures of drives with volumes: written down, and blamed on whom their history shows to be at fault. */
import type { Catalog, EventRow } from '../catalog/model.ts';
import { blame, memoryMs, pastFailure, type PastFailure } from '../library/blame.ts';
import type { DrivePool, MediaFailure } from '../library/drive-pool.ts';
import type { Log } from '../recall/recaller-options.ts';

/** Events that are looked through at the start. */
const remembered = 10_000;
/** A volume in these states is used; in others somebody has judged already. */
const inUse = ['scratch', 'writable', 'full', 'readonly'];

/** A failure, or a flag that a drive raised. */
export interface Suspicion extends Omit<MediaFailure, 'operation'> {
  readonly operation: MediaFailure['operation'] | 'alert';
  /** The drive itself says that it is the volume; it is believed unless its history is against it. */
  readonly blames?: 'volume' | null;
}

type FailuresCatalog = Pick<Catalog, 'events' | 'logEvent' | 'volume' | 'setVolume'>;

export class MediaFailures {
  readonly #catalog: FailuresCatalog;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #history: PastFailure[];
  #last: Promise<void> = Promise.resolve();

  static async open(catalog: FailuresCatalog, log: Log, now: () => number = () => Date.now()): Promise<MediaFailures> {
    const history = (await catalog.events(remembered)).flatMap(failureOf).reverse();
    return new MediaFailures(catalog, log, now, history);
  }

  private constructor(catalog: FailuresCatalog, log: Log, now: () => number, history: PastFailure[]) {
    this.#catalog = catalog;
    this.#log = log;
    this.#now = now;
    this.#history = history;
  }

  /** One after the other; never fails. */
  add(failure: Suspicion, drives: Pick<DrivePool, 'setDrive' | 'usable'>): Promise<void> {
    this.#last = this.#last.then(() => this.#judge(failure, drives)).catch((error: unknown) => this.#log.error({ error }, 'a failure of a drive with a volume was not recorded'));
    return this.#last;
  }

  /** The drive says so itself. Never fails. */
  driveIsBroken(name: string, reason: string, drives: Pick<DrivePool, 'setDrive' | 'usable'>): Promise<void> {
    this.#last = this.#last.then(() => this.#putDown(name, reason, drives)).catch((error: unknown) => this.#log.error({ error }, 'a broken drive was not set down'));
    return this.#last;
  }

  async #judge(failure: Suspicion, drives: Pick<DrivePool, 'setDrive' | 'usable'>): Promise<void> {
    const past = pastFailure(failure, this.#now());
    while (this.#history[0] !== undefined && (past.at - this.#history[0].at >= memoryMs || this.#history.length >= remembered)) this.#history.shift();
    this.#history.push(past);
    this.#log.warn({ ...failure }, 'a drive and a volume did not get on');
    await this.#catalog.logEvent('media-failure', null, failure);
    const { drive, volume } = blame(this.#history, past);
    const told = failure.blames === 'volume' && drive === null ? `${failure.message} in ${failure.drive}` : null;
    if (volume !== null || told !== null) await this.#suspect(failure.volume, volume ?? told ?? '');
    if (drive !== null) await this.#putDown(failure.drive, drive, drives);
  }

  async #suspect(barcode: string, reason: string): Promise<void> {
    const row = await this.#catalog.volume(barcode);
    if (row === undefined || !inUse.includes(row.state)) return;
    await this.#catalog.setVolume(barcode, { state: 'suspect', reason });
    await this.#catalog.logEvent('volume-suspect', null, { barcode, reason });
  }

  /** The last drive goes on: with it some volumes can be read, without it none. */
  async #putDown(name: string, reason: string, drives: Pick<DrivePool, 'setDrive' | 'usable'>): Promise<void> {
    if (!drives.usable.includes(name)) return;
    if (drives.usable.length === 1) {
      this.#log.error({ drive: name, reason }, 'the only drive that is up seems to be broken');
      return;
    }
    await drives.setDrive(name, 'down', reason);
    await this.#catalog.logEvent('drive', null, { name, admin: 'down', reason });
  }
}

function failureOf({ at, kind, data }: EventRow): PastFailure[] {
  if (kind !== 'media-failure') return [];
  const { drive, volume } = JSON.parse(data) as Partial<MediaFailure>;
  return typeof drive === 'string' && typeof volume === 'string' ? [{ at, drive, volume }] : [];
}
