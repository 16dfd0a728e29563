/** Cleaning cartridges: which there are, how often they were used, and drives that are cleaned with them. */
import type { Catalog } from '../catalog/model.ts';
import type { CleaningSettings } from '../config.ts';
import { errorCode, HsmError } from '../errors.ts';
import type { DrivePool } from '../library/drive-pool.ts';
import type { MediaCounters } from '../library/media-counters.ts';
import type { CartridgeLibrary } from '../library/open-library.ts';
import type { Log } from '../recall/recaller-options.ts';

/** A drive that wants it again so soon has not been helped by it, ms. */
const tooSoonMs = 3_600_000;

export interface CleaningOptions {
  readonly catalog: Pick<Catalog, 'logEvent' | 'mediaUse' | 'volume'>;
  readonly counters: Pick<MediaCounters, 'cleaned' | 'flush'>;
  readonly drives: Pick<DrivePool, 'maintain'>;
  readonly library: Pick<CartridgeLibrary, 'inventory' | 'clean'>;
  /** Null: there is nothing to clean. */
  readonly settings: CleaningSettings | null;
  readonly log: Log;
  readonly now?: () => number;
}

export interface Cleaner {
  readonly barcode: string;
  readonly location: string;
  readonly uses: number;
  readonly usesLeft: number;
}

export class Cleaning {
  readonly #options: CleaningOptions;
  readonly #now: () => number;
  /** When drives were cleaned last. */
  readonly #cleanedAt = new Map<string, number>();
  /** Drives whose wish is being looked after. */
  readonly #asking = new Set<string>();
  /** One at a time: there may be one cartridge. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: CleaningOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** In the order of their barcodes. */
  async cleaners(): Promise<Cleaner[]> {
    const { catalog, counters, library, log, settings } = this.#options;
    if (settings === null || settings.prefix === '') return [];
    await counters.flush().catch((error: unknown) => log.warn({ error }, 'uses of cleaning cartridges were not written'));
    const uses = new Map((await catalog.mediaUse()).flatMap(({ kind, name, mounts }) => (kind === 'cleaning' ? [[name, mounts] as const] : [])));
    const { drives, slots } = await library.inventory();
    const places = [...slots.map(({ slot, barcode }) => [barcode, `slot ${slot}`] as const), ...drives.map(({ name, barcode }) => [barcode, name] as const)];
    const found: Cleaner[] = [];
    for (const [barcode, location] of places) {
      // A volume is a volume, whatever its name.
      if (barcode === null || !barcode.startsWith(settings.prefix) || (await catalog.volume(barcode)) !== undefined) continue;
      const used = uses.get(barcode) ?? 0;
      found.push({ barcode, location, uses: used, usesLeft: Math.max(0, settings.uses - used) });
    }
    return found.sort((a, b) => (a.barcode < b.barcode ? -1 : 1));
  }

  /** Resolves with the cartridge when the drive is clean. `uid`: who asked; null: the drive. Fails with `NO_CLEANER`, and as the library's clean() does. */
  clean(drive: string, uid: number | null): Promise<Cleaner> {
    const cleaned = this.#last.then(() => this.#clean(drive, uid));
    this.#last = cleaned.catch(() => undefined);
    return cleaned;
  }

  /** A drive asks for it. Never fails. */
  async wanted(drive: string, reason: string): Promise<void> {
    const { log, settings } = this.#options;
    if (this.#asking.has(drive)) return;
    this.#asking.add(drive);
    try {
      log.warn({ drive, reason }, 'a drive wants to be cleaned');
      const problem = await this.#problem(drive, settings);
      if (problem !== null) return await this.#askOperator(drive, `${reason}; ${problem}`);
      await this.clean(drive, null).catch((error: unknown) => this.#askOperator(drive, `${reason}; ${error instanceof Error ? error.message : String(error)}`));
    } catch (error) {
      log.error({ error, drive }, 'that a drive wants to be cleaned was not recorded');
    } finally {
      this.#asking.delete(drive);
    }
  }

  /** Why a person must see to it. */
  async #problem(drive: string, settings: CleaningSettings | null): Promise<string | null> {
    if (settings === null || settings.when === 'ask') return `hsm drive clean ${drive}`;
    const before = this.#cleanedAt.get(drive);
    if (before !== undefined && this.#now() - before < tooSoonMs) return 'it was cleaned within the last hour';
    return (await this.cleaners()).some(({ usesLeft }) => usesLeft > 0) ? null : noCleaner;
  }

  async #clean(drive: string, uid: number | null): Promise<Cleaner> {
    const { catalog, counters, drives, library, settings } = this.#options;
    if (settings === null || library.clean === undefined) throw new HsmError('NO_CLEANER', 'the drives of this library need no cleaning');
    // Used up one after the other.
    const cleaner = (await this.cleaners()).filter(({ usesLeft }) => usesLeft > 0).sort((a, b) => a.usesLeft - b.usesLeft)[0];
    if (cleaner === undefined) throw new HsmError('NO_CLEANER', noCleaner);
    const { barcode } = cleaner;
    try {
      await drives.maintain(drive, `being cleaned with ${barcode}`, () => library.clean!(barcode, drive, settings.timeoutS * 1000));
    } catch (error) {
      if (errorCode(error) === 'CLEANING') counters.cleaned(barcode);
      await catalog.logEvent('drive-clean', uid, { drive, barcode, error: error instanceof Error ? error.message : String(error) });
      throw error;
    }
    counters.cleaned(barcode);
    this.#cleanedAt.set(drive, this.#now());
    const uses = cleaner.uses + 1;
    await catalog.logEvent('drive-clean', uid, { drive, barcode, uses });
    if (uses >= settings.uses) await this.#askOperator(drive, `cleaning cartridge ${barcode} is used up: replace it`);
    return { ...cleaner, uses, usesLeft: settings.uses - uses };
  }

  async #askOperator(drive: string, problem: string): Promise<void> {
    await this.#options.catalog.logEvent('operator-needed', null, { drive, problem });
  }
}

const noCleaner = 'there is no cleaning cartridge with uses left in the library';
