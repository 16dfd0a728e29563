/** Whose fault failures are, the drive's or the volume's: one does not tell, several do. */
import type { MediaFailure } from './drive-pool.ts';

export interface PastFailure {
  /** ms since the epoch. */
  readonly at: number;
  readonly drive: string;
  readonly volume: string;
}

export interface Blame {
  /** Why the drive is at fault; null: nothing says so. */
  readonly drive: string | null;
  /** Why the volume is. */
  readonly volume: string | null;
}

/** What is older tells nothing about today's drives: they are cleaned, repaired and replaced. */
export const memoryMs = 30 * 86_400_000;
/** A volume that fails in so many drives is damaged; a drive in which so many volumes fail is. A volume that is damaged by itself does not count against its drives. */
const drivesOfABadVolume = 2;
const volumesOfABadDrive = 3;

/** `history` includes `failure`. */
export function blame(history: readonly PastFailure[], failure: PastFailure): Blame {
  const recent = history.filter(({ at }) => failure.at - at < memoryMs);
  const drivesOf = (volume: string): Set<string> => new Set(recent.filter((each) => each.volume === volume).map(({ drive }) => drive));
  const drives = drivesOf(failure.volume);
  const volumes = [...new Set(recent.filter(({ drive }) => drive === failure.drive).map(({ volume }) => volume))].filter((volume) => drivesOf(volume).size < drivesOfABadVolume);
  return {
    drive: volumes.length >= volumesOfABadDrive ? `${volumes.length} volumes failed in it and in no other: ${volumes.sort().join(', ')}` : null,
    volume: drives.size >= drivesOfABadVolume ? `it failed in ${[...drives].sort().join(' and ')}` : null,
  };
}

export const pastFailure = ({ drive, volume }: Pick<MediaFailure, 'drive' | 'volume'>, at: number): PastFailure => ({ at, drive, volume });
