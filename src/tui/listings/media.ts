/** Drives and volumes. */
import type { DriveLine, VolumeLine } from '../../daemon/protocol.ts';
import { formatRate, formatSize } from '../../units.ts';
import { erased, shown } from '../listing.ts';
import type { Mirror } from '../mirror.ts';
import type { Style } from '../text.ts';
import { isFailed } from './requests.ts';

/** A daemon may say more of a drive than the protocol's first version did. */
export type Drive = DriveLine & { readonly purpose?: string | null };

export const driveStyle = ({ admin, state }: DriveLine): Style => (admin === 'down' ? 'warn' : state === 'failed' ? 'bad' : state === 'busy' || state === 'loading' ? 'busy' : 'plain');

/** What a drive does, in a word or two. */
export const driveState = ({ admin, state }: DriveLine): string => (admin === 'down' ? (state === 'busy' ? 'down, at work' : 'down') : state);

/** Files that are being brought back from the volume in it, and those that wait for it. */
export function driveLoad({ barcode }: DriveLine, mirror: Mirror): { readonly active: number; readonly queued: number } {
  let [active, queued] = [0, 0];
  if (barcode === null) return { active, queued };
  for (const request of mirror.requests.values()) {
    if (request.volume !== barcode || isFailed(request)) continue;
    if (request.state === 'restoring' || request.state === 'locating') active += 1;
    else queued += 1;
  }
  return { active, queued };
}

export const drives = erased<Drive>({
  columns: [
    { title: 'DRIVE', width: 10, value: (row) => row.name },
    { title: 'ADMIN', width: 5, value: (row) => row.admin, style: (row) => (row.admin === 'down' ? 'warn' : 'good') },
    { title: 'STATE', width: 8, value: (row) => row.state, style: driveStyle },
    { title: 'VOLUME', width: 8, value: (row) => row.barcode },
    { title: 'FOR', width: 6, value: (row) => row.purpose ?? null },
    { title: 'RATE', width: 11, right: true, from: 78, value: (row) => (typeof row.rate === 'number' ? formatRate(row.rate) : null), rank: (row) => row.rate ?? 0 },
    { title: 'REASON', width: 10, grows: true, value: (row) => row.reason, style: () => 'warn' },
  ],
  rows: (mirror) => [...mirror.drives.values()],
  keyOf: (row) => row.name,
  detail: (row, mirror) => {
    const { active, queued } = driveLoad(row, mirror);
    return [
      ['drive', row.name],
      ['state', `${row.admin}, ${row.state}${row.purpose ? `, ${row.purpose === 'read' ? 'reading' : 'writing'}` : ''}`],
      ['reason', shown(row.reason)],
      ['volume', shown(row.barcode)],
      ['recalls', `${active} under way, ${queued} queued on it`],
    ];
  },
  none: 'there is no drive',
});

const volumeStyle = ({ state }: VolumeLine): Style => (state === 'failed' || state === 'suspect' ? 'bad' : state === 'readonly' || state === 'exported' ? 'warn' : state === 'writable' ? 'good' : 'plain');

export const volumes = erased<VolumeLine>({
  columns: [
    { title: 'VOLUME', width: 8, value: (row) => row.barcode },
    { title: 'POOL', width: 10, value: (row) => row.pool },
    { title: 'STATE', width: 8, value: (row) => row.state, style: volumeStyle },
    { title: 'WHERE', width: 10, value: (row) => row.location },
    { title: 'USED', width: 8, right: true, value: (row) => formatSize(row.used), rank: (row) => row.used },
    { title: 'FULL', width: 4, right: true, value: (row) => (row.capacity === 0 ? null : `${Math.floor((100 * row.used) / row.capacity)}%`), rank: (row) => (row.capacity === 0 ? 0 : row.used / row.capacity) },
    { title: 'LIVE', width: 8, right: true, from: 78, value: (row) => formatSize(row.live), rank: (row) => row.live },
    { title: 'OBJECTS', width: 10, right: true, from: 90, value: (row) => row.objects },
    { title: 'REASON', width: 6, grows: true, value: (row) => row.reason, style: () => 'warn' },
  ],
  rows: (mirror) => [...mirror.volumes.values()],
  keyOf: (row) => row.barcode,
  detail: (row) => [
    ['volume', `${row.barcode}, pool ${shown(row.pool)}`],
    ['state', `${row.state}${row.reason === null ? '' : `: ${shown(row.reason)}`}`],
    ['where', shown(row.location)],
    ['use', `${formatSize(row.used)} of ${formatSize(row.capacity)}, ${formatSize(row.live)} of it live`],
    ['objects', String(row.objects)],
  ],
  none: `there is no volume: add some with 'hsm tape add'`,
});
