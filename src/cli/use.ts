/** What a drive or a volume has been through, and what a drive told of it, for people. */
import type { HealthLine, UseLine } from '../daemon/protocol.ts';
import { formatDuration, formatSize } from '../units.ts';

const day = (time: string): string => time.slice(0, 10);

export function useLines(use: UseLine | null | undefined, health: HealthLine | null | undefined): string[] {
  return [...countLines(use), ...(health == null ? [] : healthLines(health))];
}

function countLines(use: UseLine | null | undefined): string[] {
  if (use == null) return ['use      none yet'];
  const { mounts, bytesRead, bytesWritten, motionSeconds, firstUsedAt, lastUsedAt } = use;
  const when = firstUsedAt === null || lastUsedAt === null ? '' : `, ${day(firstUsedAt)} to ${day(lastUsedAt)}`;
  return [
    `use      ${mounts} mounts${when}; ${formatSize(bytesRead)} read, ${formatSize(bytesWritten)} written, ${formatDuration(motionSeconds)} in motion`,
    `errors   ${use.loadErrors} loading, ${use.readErrors} reading, ${use.writeErrors} writing; the drive got over ${use.softReadErrors} reading, ${use.softWriteErrors} writing`,
  ];
}

function healthLines({ at, moment, drive, volume, alerts, readErrors, writeErrors, device, medium }: HealthLine): string[] {
  const about = drive ?? (typeof volume === 'string' ? volume : '');
  const flags = alerts?.map(({ flag, name, severity }) => `${flag} ${name} (${severity})`).join(', ');
  const parts: readonly (readonly [string, Readonly<Record<string, number | string>> | null | undefined])[] = [
    ['reading', readErrors],
    ['writing', writeErrors],
    ['drive', device],
    ['volume', typeof volume === 'string' ? null : volume],
    ['chip', medium],
  ];
  return [
    `told     ${at ?? '-'}, ${moment}, ${drive === undefined ? 'with' : 'in'} ${about}`,
    `alerts   ${flags === undefined ? 'not told' : flags || 'none'}`,
    ...parts.flatMap(([title, values]) => (values == null ? [] : [`${title.padEnd(8)} ${Object.entries(values).map(([key, value]) => `${key} ${value}`).join(', ')}`])),
  ];
}
