/** Drives and volumes with what they have been through. */
import type { Catalog, MediaUse, UsedKind } from '../catalog/model.ts';
import type { MediaCounters } from '../library/media-counters.ts';
import type { CartridgeLibrary } from '../library/open-library.ts';
import type { Log } from '../recall/recaller-options.ts';
import { tapeAlert } from '../media/scsi/tape-alert.ts';
import type { DriveLine, HealthLine, UseLine } from './protocol.ts';

/** Under what a drive is counted: it keeps its serial number wherever it is plugged in. */
export const driveKey = ({ serials }: Pick<CartridgeLibrary, 'serials'>, name: string): string => serials?.get(name) ?? name;

export interface UseParts {
  readonly catalog: Pick<Catalog, 'mediaUse'>;
  readonly counters: Pick<MediaCounters, 'flush'>;
  readonly log: Log;
}

/** Counts up to now of one kind, by serial, name or barcode. */
export async function usesOf({ catalog, counters, log }: UseParts, kind: UsedKind): Promise<Map<string, MediaUse>> {
  // A catalogue that takes nothing now still tells what it has.
  await counters.flush().catch((error: unknown) => log.warn({ error }, 'counts of drives and volumes were not written'));
  return new Map((await catalog.mediaUse()).flatMap((use) => (use.kind === kind ? [[use.name, use] as const] : [])));
}

/** What is shown of it; null for what was never used. */
export function useLine(use: MediaUse | undefined): UseLine | null {
  // A row that holds but a drive's report was never counted.
  if (use === undefined || use.firstUsedAt === null) return null;
  const { mounts, bytesRead, bytesWritten, loadErrors, readErrors, writeErrors, softReadErrors, softWriteErrors, motionMs } = use;
  const counts = { mounts, bytesRead, bytesWritten, loadErrors, readErrors, writeErrors, softReadErrors, softWriteErrors };
  return { ...counts, motionSeconds: Math.round(motionMs / 1000), firstUsedAt: wireTime(use.firstUsedAt), lastUsedAt: wireTime(use.lastUsedAt) };
}

/** What a drive told last; null: nothing. */
export function healthLine(use: MediaUse | undefined): HealthLine | null {
  if (use?.report == null) return null;
  const report = JSON.parse(use.report) as Omit<HealthLine, 'at' | 'alerts'> & { readonly alerts: readonly number[] | null };
  return { at: wireTime(use.reportedAt), ...report, alerts: report.alerts?.map((flag) => tapeAlert(flag)) ?? null };
}

export async function usedDrives<Drive extends { readonly name: string }>(
  parts: UseParts & { readonly library: Pick<CartridgeLibrary, 'serials'> },
  drives: readonly Drive[],
): Promise<(Drive & Pick<DriveLine, 'serial' | 'use' | 'health'>)[]> {
  const uses = await usesOf(parts, 'drive');
  return drives.map((drive) => {
    const use = uses.get(driveKey(parts.library, drive.name));
    return { ...drive, serial: parts.library.serials?.get(drive.name) ?? null, use: useLine(use), health: healthLine(use) };
  });
}

export async function usedVolumes<Volume extends { readonly barcode: string }>(parts: UseParts, volumes: readonly Volume[]): Promise<(Volume & { readonly use: UseLine | null; readonly health: HealthLine | null })[]> {
  const uses = await usesOf(parts, 'volume');
  return volumes.map((volume) => ({ ...volume, use: useLine(uses.get(volume.barcode)), health: healthLine(uses.get(volume.barcode)) }));
}

const wireTime = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
