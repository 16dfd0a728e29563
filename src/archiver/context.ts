/** What a run of the archiver is given, and whom it tells. */
import type { Catalog, FilesystemRow } from '../catalog/model.ts';
import type { Config } from '../config.ts';
import type { ArchiveParams, Progress } from '../daemon/protocol.ts';
import type { DrivePool } from '../library/drive-pool.ts';
import { native, type Native } from '../native/index.ts';

/** Shared with recall: only the holder of an inode's lock evicts or restores it. */
export interface InodeLocks {
  /** Null when somebody has the lock. */
  tryLock(ino: number): (() => void) | null;
}

/** The daemon's log, or a part of it. */
export interface Log {
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
}

export type ArchiverCatalog = Pick<
  Catalog,
  | 'volumes'
  | 'volume'
  | 'setVolume'
  | 'containers'
  | 'beginContainer'
  | 'closeContainer'
  | 'markVerified'
  | 'addArchived'
  | 'filesByInode'
  | 'objects'
  | 'objectsOnVolume'
  | 'moveFiles'
  | 'countStates'
  | 'logEvent'
  | 'copiesToKeep'
  | 'addCopies'
  | 'dropMovedCopies'
  | 'dropExpiredCopies'
  | 'scratchVolume'
  | 'filesystems'
  | 'prepareDump'
  | 'dump'
>;

export interface ManagedFilesystem {
  readonly row: FilesystemRow;
  /** Directory fd inside the private mount: I/O through it raises no events. */
  readonly mountFd: number;
  /** The fanotify group; -1 where there is none. */
  readonly groupFd: number;
  /** Where the filesystem is mounted. */
  readonly path: string;
}

/** The parts of the addon that tests make fail. */
export type ArchiverNative = Pick<Native, 'walk' | 'evict' | 'payloadDigest' | 'statx' | 'Packer'>;

export interface ArchiverContext {
  readonly catalog: ArchiverCatalog;
  readonly drives: Pick<DrivePool, 'withVolume' | 'withVolumes' | 'up'>;
  readonly filesystem: ManagedFilesystem;
  readonly locks: InodeLocks;
  readonly config: Pick<Config, 'state' | 'file' | 'archive'> & { readonly library: Pick<Config['library'], 'path'> };
  readonly log: Log;
  readonly clock: { now(): number };
  /** True once the run is to end after the container at hand. */
  stopRequested(): boolean;
  /** Default: the addon. */
  readonly native?: ArchiverNative;
}

export type NativeContext = ArchiverContext & { readonly native: ArchiverNative };

export const withNative = (context: ArchiverContext): NativeContext => ({ ...context, native: context.native ?? native });

/** Why a file was left as it is, as the summary counts it. */
export type SkipReason =
  | 'young'
  | 'size'
  | 'excluded'
  | 'empty'
  | 'small'
  | 'stub'
  | 'archived'
  | 'resident'
  | 'open'
  | 'changed'
  | 'immutable'
  | 'gone'
  | 'unverified';

export interface FileOutcome {
  /** Relative to the filesystem's root. */
  readonly path: Buffer;
  readonly outcome: 'archived' | 'released' | 'skipped' | 'failed';
  /** A skip reason, or why it failed (an errno name, `damaged`, ...). */
  readonly reason: string | null;
  readonly size: number | null;
}

export interface Observer {
  progress(progress: Progress): void;
  /** Present only when every file is to be told about; costs time. */
  file?(outcome: FileOutcome): void;
}

/** `hsm archive`, its paths relative to the filesystem's root. */
export interface ArchiveRequest extends Omit<ArchiveParams, 'paths' | 'verbose'> {
  readonly paths: readonly Buffer[];
}

export interface ReleaseRequest {
  readonly paths: readonly Buffer[];
}
