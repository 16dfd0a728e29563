/** What the recall engine is made of and asked for. */
import type { Catalog } from '../catalog/model.ts';
import type { TapeModel } from '../library/timing.ts';
import type { GateSettings } from './gate.ts';
import type { DenialErrno, Keeper } from './keeper-client.ts';
import type { Asker } from './limits/rules.ts';
import type { JobInterest, RecallFailure } from './requests.ts';
import type { ManagedFilesystem } from './restorer.ts';
import type { SchedulerSettings } from './scheduler/scheduler.ts';
import type { Geometry } from './scheduler/travel.ts';
import type { RecallDrives } from './volume-service.ts';

export interface Log {
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

/** A request that ended. */
export interface RecallEnd {
  readonly path: string;
  /** Null: the file is on disk. */
  readonly failure: RecallFailure | null;
  /** A person or the daemon's stop ended it, not a fault. */
  readonly isCancelled: boolean;
  /** What its readers got; null: they went on. */
  readonly errno: DenialErrno | null;
  /** Of each reader, ms from its arrival. */
  readonly waitedMs: readonly number[];
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
  /** Told of every request that ended, after its readers were. */
  readonly onEnd?: (end: RecallEnd) => void;
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
