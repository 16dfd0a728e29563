/** The library contract: slots, drives and the robot between them. */
import type { Medium } from '../media/medium.ts';

export type DriveState = 'empty' | 'loading' | 'ready' | 'busy' | 'failed';

export interface DriveStatus {
  readonly name: string;
  readonly state: DriveState;
  readonly admin: 'up' | 'down';
  readonly reason: string | null;
  readonly barcode: string | null;
}

export interface SlotStatus {
  readonly slot: number;
  readonly barcode: string | null;
}

/**
 * A library moves volumes and hands out a drive to one user at a time. Errors: `NO_VOLUME` (no such cartridge here),
 * `NO_DRIVE`, `DRIVE_DOWN` (or failed), `EBUSY` (drive at work or cartridge in another drive), `EIO` (the move failed;
 * inventory() tells where things are), `WRONG_VOLUME` (what was loaded is not what its barcode says), `ECANCELED` (closing).
 * Users share drives through DrivePool.
 */
export interface Library {
  inventory(): Promise<{ readonly drives: readonly DriveStatus[]; readonly slots: readonly SlotStatus[] }>;
  /**
   * Loads a cartridge from its slot (first unloading what the drive holds) and resolves when it is ready at its beginning.
   * A medium that this drive gave out before fails with `NOT_LOADED` from then on. `signal` ends the wait for an operator's hand, with its reason;
   * where nobody is waited for it changes nothing.
   */
  load(barcode: string, drive: string, signal?: AbortSignal): Promise<Medium>;
  /** Back to a free slot. No-op on an empty drive. */
  unload(drive: string): Promise<void>;
  setDrive(drive: string, admin: 'up' | 'down', reason: string | null): Promise<void>;
  close(): Promise<void>;
}
