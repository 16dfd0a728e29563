/** What the medium needs of LTFS: one volume, mounted at a folder. */
import type { HsmError } from '../../errors.ts';

export interface LtfsVolume {
  /** The folder where it is mounted. */
  readonly root: string;
  /** Why it is not mounted: only format() makes anything of it then. */
  readonly failure: HsmError | null;
  /** LTFS mounted it read-only, as it does with a write-protected cartridge. */
  readonly readOnly: boolean;
  /** Writes LTFS's index to tape: what was written before survives a crash. Fails with `EIO` where no newer index was written. */
  sync(): Promise<void>;
  /** Bytes of the data partition. */
  space(): Promise<{ readonly capacity: number; readonly free: number }>;
  /** Makes it an empty volume and mounts it again: all that is on it is lost. */
  format(): Promise<void>;
  /** After ltfs died: as it was when its index was written last. `failure` says where that did not succeed. */
  remount(): Promise<void>;
  /** Resolves when the volume is closed and ltfs has let go of the drive. Fails with `EBUSY` where it does not: then the cartridge must stay. */
  unmount(): Promise<void>;
}
