/** The columns of volumes, drives and paths, as every command shows them. */
import type { DriveLine, PauseLine, VolumeLine } from '../daemon/protocol.ts';
import { formatRate, formatSize } from '../units.ts';
import { printable } from './printable.ts';
import type { Column } from './table.ts';

export const volumeColumns: readonly Column<VolumeLine>[] = [
  { title: 'VOLUME', value: (row) => row.barcode },
  { title: 'POOL', value: (row) => row.pool },
  { title: 'STATE', value: (row) => row.state },
  { title: 'LOCATION', value: (row) => row.location },
  { title: 'CAPACITY', value: (row) => formatSize(row.capacity), right: true },
  { title: 'USED', value: (row) => formatSize(row.used), right: true },
  { title: 'LIVE', value: (row) => formatSize(row.live), right: true },
  { title: 'OBJECTS', value: (row) => row.objects, right: true },
  { title: 'VERIFIED', value: (row) => (row.verifiedAt == null ? null : new Date(row.verifiedAt).toISOString().slice(0, 10)) },
  { title: 'REASON', value: (row) => row.reason },
];

export const driveColumns: readonly Column<DriveLine>[] = [
  { title: 'DRIVE', value: (row) => row.name },
  { title: 'ADMIN', value: (row) => row.admin },
  { title: 'STATE', value: (row) => row.state },
  { title: 'VOLUME', value: (row) => row.barcode },
  { title: 'RATE', value: (row) => (typeof row.rate === 'number' ? formatRate(row.rate) : null) },
  { title: 'REASON', value: (row) => row.reason },
];

/** A path of a row, its exact bytes escaped where they must be; `-` when there is none. */
export function rowPath(row: { readonly path: string | null; readonly pathBase64?: string }): string {
  if (row.pathBase64 !== undefined) return printable(Buffer.from(row.pathBase64, 'base64'));
  return row.path ?? '-';
}

/** `recalls of user 1000, since 2026-03-01T12:00:00.000Z: why`. */
export function pauseInWords({ kind, name, reason, since }: PauseLine): string {
  const what = kind === 'all' ? 'all recalls' : kind === 'volume' ? `${name} is held` : `recalls of ${kind} ${name}`;
  return `${what}, since ${since}${reason === null ? '' : `: ${reason}`}`;
}
