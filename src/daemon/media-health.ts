/** What drives tell of themselves and their cartridges: kept, shown, and acted upon. */
import { z } from 'zod';
import type { Catalog, UsedKind } from '../catalog/model.ts';
import type { DrivePool } from '../library/drive-pool.ts';
import type { ToldByDrive } from '../library/drive-examiner.ts';
import type { MediaCounters } from '../library/media-counters.ts';
import type { DriveReport } from '../media/scsi/examination.ts';
import { alertText, tapeAlert, type TapeAlert } from '../media/scsi/tape-alert.ts';
import type { Log } from '../recall/recaller-options.ts';
import type { MediaFailures } from './media-failures.ts';

type HealthCatalog = Pick<Catalog, 'logEvent' | 'setReport' | 'mediaUse'>;
type Drives = Pick<DrivePool, 'setDrive' | 'usable'>;

export interface MediaHealthOptions {
  readonly catalog: HealthCatalog;
  readonly counters: Pick<MediaCounters, 'softErrors'>;
  readonly failures: Pick<MediaFailures, 'add' | 'driveIsBroken'>;
  readonly log: Log;
  /** Under what a drive is in the catalogue. */
  readonly driveKey: (drive: string) => string;
  /** A drive wants to be cleaned, and why. */
  readonly onCleaning: (drive: string, reason: string) => void;
}

const reportShape = z.object({ alerts: z.array(z.number()).nullable() });

export class MediaHealth {
  readonly #options: MediaHealthOptions;
  /** By drive: the flags that it had set when it was asked last. Some stay set until somebody repairs something. */
  readonly #alerts = new Map<string, readonly number[]>();
  /** Drives that wanted to be cleaned when they were asked last. */
  readonly #wanting = new Set<string>();
  /** By drive: what it had told of the cartridge in it when that was loaded. */
  readonly #loaded = new Map<string, ToldByDrive>();
  #last: Promise<void> = Promise.resolve();

  constructor(options: MediaHealthOptions) {
    this.#options = options;
  }

  /** One after the other; never fails. */
  told(told: ToldByDrive, drives: Drives): Promise<void> {
    this.#last = this.#last.then(() => this.#take(told, drives)).catch((error: unknown) => this.#options.log.error({ error, drive: told.drive }, 'what a drive told was not recorded'));
    return this.#last;
  }

  async #take(told: ToldByDrive, drives: Drives): Promise<void> {
    const { drive, volume, moment, report } = told;
    this.#countSoftErrors(told);
    const before = this.#alerts.get(drive) ?? (await this.#alertsBefore(drive));
    // A report without flags says nothing of those that were set: the next cartridge must not be blamed for them.
    const now = report?.alerts ?? before;
    this.#alerts.set(drive, now);
    if (report !== null) {
      const { device, readErrors, writeErrors, alerts } = report;
      await this.#keep('drive', this.#options.driveKey(drive), { moment, volume, alerts: now, readErrors, writeErrors, device });
      await this.#keep('volume', volume, { moment, drive, alerts, readErrors, writeErrors, volume: report.volume, medium: report.medium });
    }
    for (const flag of now) if (!before.includes(flag)) await this.#alert(tapeAlert(flag), told, drives);
    const wantedBefore = this.#wanting.has(drive);
    if (!told.wantsCleaning) this.#wanting.delete(drive);
    else this.#wanting.add(drive);
    if (told.wantsCleaning && !wantedBefore && !now.some((flag) => tapeAlert(flag).fault === 'cleaning')) this.#options.onCleaning(drive, 'the drive asks for it');
  }

  async #alert(alert: TapeAlert, { drive, volume, moment }: ToldByDrive, drives: Drives): Promise<void> {
    const { catalog, failures, log } = this.#options;
    const text = alertText(alert);
    log.warn({ drive, volume, moment, ...alert }, 'a drive has raised a TapeAlert flag');
    await catalog.logEvent('tape-alert', null, { drive, volume, moment, ...alert });
    if (alert.fault === 'either' || alert.fault === 'volume') await failures.add({ drive, volume, operation: 'alert', code: 'TAPEALERT', message: text, blames: alert.fault === 'volume' ? 'volume' : null }, drives);
    else if (alert.fault === 'drive') await failures.driveIsBroken(drive, text, drives);
    else if (alert.fault === 'cleaning') this.#options.onCleaning(drive, text);
  }

  /** Drives count from the load on, or from their first day: what came on top since the load is the mount's. */
  #countSoftErrors(told: ToldByDrive): void {
    const { drive, volume, moment, report } = told;
    const loaded = this.#loaded.get(drive);
    this.#loaded.delete(drive);
    if (moment === 'loaded') this.#loaded.set(drive, told);
    else if (moment === 'unloading' && report !== null && loaded?.volume === volume) {
      this.#options.counters.softErrors(drive, volume, { softReadErrors: since(loaded.report, report, 'readErrors'), softWriteErrors: since(loaded.report, report, 'writeErrors') });
    }
  }

  async #alertsBefore(drive: string): Promise<readonly number[]> {
    const key = this.#options.driveKey(drive);
    const kept = (await this.#options.catalog.mediaUse()).find(({ kind, name }) => kind === 'drive' && name === key)?.report ?? null;
    const shape = kept === null ? null : reportShape.safeParse(JSON.parse(kept));
    return shape?.data?.alerts ?? [];
  }

  #keep(kind: UsedKind, name: string, report: object): Promise<void> {
    return this.#options.catalog.setReport(kind, name, JSON.stringify(report));
  }
}

function since(before: DriveReport | null, now: DriveReport, page: 'readErrors' | 'writeErrors'): number {
  const [first, last] = [before?.[page]?.corrected ?? 0, now[page]?.corrected ?? 0];
  return last >= first ? last - first : last;
}
