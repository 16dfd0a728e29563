/** What the recall engine is made of and asked for. */
import type { Catalog } from '../catalog/model.ts';
import type { TapeModel } from '../library/timing.ts';
import type { GateSettings } from './gate.ts';
import type { Keeper } from './keeper-client.ts';
import type { Asker } from './limits/rules.ts';
import type { JobInterest } from './requests.ts';
import type { ManagedFilesystem } from './restorer.ts';
import type { SchedulerSettings } from './scheduler/scheduler.ts';
import type { Geometry } from './scheduler/travel.ts';
import type { RecallDrives } from './volume-service.ts';

export interface Log {
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

export interface RecallerOptions {
  readonly keeper: Keeper;
  readonly catalog: Pick<Catalog, 'object' | 'objects' | 'filesByInode' | 'moveFiles' | 'logEvent' | 'addRecallRequest' | 'endRecallRequests' | 'objectsOnVolume'>;
  readonly drives: RecallDrives;
  readonly filesystems: readonly ManagedFilesystem[];
  readonly groupFd: number;
  readonly scheduler: SchedulerSettings;
  readonly gate: GateSettings;
  /** How many files are recalled ahead of who reads one after the other; 0: none. */
  readonly prefetchFiles: number;
  /** How the drives of a volume move; null: unknown. */
  readonly modelOf?: (volume: string) => TapeModel | null;
  /** Where the blocks of a volume lie before it is loaded; null: unknown. */
  readonly geometryOf?: (volume: string) => Promise<Geometry | null>;
  /** Seconds after which waiters are sent away with EAGAIN; 0: never. */
  readonly timeoutS: number;
  readonly log: Log;
}

/** A file that a job wants back, or that is recalled ahead. */
export interface Wanted {
  /** Index in the configuration's filesystems. */
  readonly filesystem: number;
  readonly ino: number;
  /** The record's 64 bytes. */
  readonly bytes: Buffer;
  readonly path: string;
  readonly interest: JobInterest;
  /** Recalled ahead of this reader; null: somebody asked for it. */
  readonly ahead: Asker | null;
}
