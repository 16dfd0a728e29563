/** What a drive or a volume has been through, for people. */
import type { UseLine } from '../daemon/protocol.ts';
import { formatDuration, formatSize } from '../units.ts';

const day = (time: string): string => time.slice(0, 10);

export function useLines(use: UseLine | null | undefined): string[] {
  if (use == null) return ['use      none yet'];
  const { mounts, bytesRead, bytesWritten, motionSeconds, firstUsedAt, lastUsedAt } = use;
  const when = firstUsedAt === null || lastUsedAt === null ? '' : `, ${day(firstUsedAt)} to ${day(lastUsedAt)}`;
  return [
    `use      ${mounts} mounts${when}; ${formatSize(bytesRead)} read, ${formatSize(bytesWritten)} written, ${formatDuration(motionSeconds)} in motion`,
    `errors   ${use.loadErrors} loading, ${use.readErrors} reading, ${use.writeErrors} writing; the drive got over ${use.softReadErrors} reading, ${use.softWriteErrors} writing`,
  ];
}
