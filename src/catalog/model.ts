/** Rows of the catalogue as the rest of hsm sees them. SQL stays in src/catalog/. Times named `...At` are ms since the epoch, sizes are bytes. */
import type { MaintenanceThread } from './maintenance.ts';

/** File states and the only moves between them; docs/states.md and the SQL CHECK are tested against this table. */
export const fileMoves = {
  resident: ['archiving', 'archived'],
  archiving: ['resident', 'archived'],
  archived: ['stub', 'resident', 'archived'],
  stub: ['recalling', 'archived', 'resident'],
  recalling: ['stub', 'archived', 'resident'],
} as const satisfies Record<string, readonly string[]>;

export type FileState = keyof typeof fileMoves;

/** Volume states and moves. A volume that holds an object never becomes 'scratch'. */
export const volumeMoves = {
  scratch: ['writable', 'readonly', 'suspect', 'failed', 'exported'],
  writable: ['scratch', 'full', 'readonly', 'suspect', 'failed', 'exported'],
  full: ['scratch', 'readonly', 'suspect', 'failed', 'exported'],
  readonly: ['scratch', 'writable', 'full', 'suspect', 'failed', 'exported'],
  suspect: ['scratch', 'writable', 'full', 'readonly', 'failed', 'exported'],
  failed: ['suspect', 'exported'],
  exported: ['scratch', 'writable', 'full', 'readonly', 'suspect', 'failed'],
} as const satisfies Record<string, readonly string[]>;

export type VolumeState = keyof typeof volumeMoves;

/** Container states and moves. A void container's copies count for nothing and are never returned. */
export const containerMoves = {
  writing: ['closed', 'truncated', 'void'],
  closed: ['void'],
  truncated: ['void'],
  void: [],
} as const satisfies Record<string, readonly string[]>;

export type ContainerState = keyof typeof containerMoves;

/** Job states and moves; running -> queued is a daemon that starts again and takes the job up once more. */
export const jobMoves = {
  queued: ['running', 'done', 'failed', 'cancelled'],
  running: ['queued', 'done', 'failed', 'cancelled'],
  done: [],
  failed: [],
  cancelled: [],
} as const satisfies Record<string, readonly string[]>;

export type JobState = keyof typeof jobMoves;

/** Recall request states and moves. The catalogue stores 'queued' and how it ended; the stages between are the queue's own. */
export const requestMoves = {
  queued: ['loading', 'locating', 'restoring', 'failed', 'done', 'cancelled'],
  loading: ['queued', 'locating', 'restoring', 'failed', 'done', 'cancelled'],
  locating: ['queued', 'loading', 'restoring', 'failed', 'done', 'cancelled'],
  restoring: ['queued', 'loading', 'locating', 'failed', 'done', 'cancelled'],
  failed: [],
  done: [],
  cancelled: [],
} as const satisfies Record<string, readonly string[]>;

export type RequestState = keyof typeof requestMoves;

export interface FilesystemRow {
  readonly id: number;
  readonly path: string;
  readonly type: string;
  /** Filesystem UUID or, where there is none, statfs fsid; identifies it across mounts. */
  readonly uuid: string;
}

export interface VolumeRow {
  readonly id: number;
  readonly barcode: string;
  readonly pool: string | null;
  readonly state: VolumeState;
  readonly reason: string | null;
  readonly capacity: number;
  readonly used: number;
  /** Bytes of members that some file still needs. */
  readonly live: number;
  readonly objects: number;
  /** Address of the end of data after the last committed filemark; appends start here. */
  readonly endBlock: number;
  readonly lastWrittenAt: number | null;
  /** What its label bears since it was labelled last; null: not known. */
  readonly serial: string | null;
}

/** One placement of an object. */
export interface CopyRow {
  readonly volume: string;
  readonly pool: string | null;
  readonly volumeState: VolumeState;
  /** Container number on its volume, from 1. */
  readonly container: number;
  readonly startBlock: number;
  /** Byte offset of the pax header in the container. */
  readonly offset: number;
  /** Header, payload and padding, bytes. */
  readonly length: number;
  /** True once the whole container was read back and every member's hash compared. Nothing is released before. */
  readonly verified: boolean;
}

export interface ObjectRow {
  readonly id: Buffer;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly sha256: Buffer;
  readonly copies: readonly CopyRow[];
}

export interface FileRow {
  readonly filesystem: number;
  readonly ino: number;
  readonly state: FileState;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly handleHash: number;
  readonly object: Buffer;
  readonly directory: number;
  readonly name: Buffer;
}

export interface ContainerRow {
  readonly id: number;
  readonly volume: string;
  readonly number: number;
  readonly startBlock: number;
  readonly bytes: number;
  readonly state: ContainerState;
  readonly verified: boolean;
  /** When it was read back last and found right; null: never, or before that was recorded. */
  readonly verifiedAt: number | null;
}

/** Members of one or more closed containers that hold the same bytes, flat; row i of every array. */
export interface ArchivedMembers {
  readonly filesystem: number;
  readonly count: number;
  /** Relative directory paths; dir[i] indexes it. */
  readonly dirs: readonly Buffer[];
  readonly dir: Uint32Array;
  readonly names: Buffer;
  readonly nameEnd: Uint32Array;
  readonly ino: Float64Array;
  readonly size: Float64Array;
  readonly mtimeNs: BigInt64Array;
  readonly ctimeNs: BigInt64Array;
  readonly handleHash: Uint32Array;
  readonly objectIds: Buffer;
  readonly sha256: Buffer;
  readonly offset: Float64Array;
  readonly length: Float64Array;
}

export type JobKind = 'archive' | 'release' | 'recall' | 'verify' | 'restore' | 'reclaim' | 'reconcile' | 'undelete';

export interface JobRow {
  readonly id: number;
  readonly kind: JobKind;
  readonly state: JobState;
  readonly uid: number;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** JSON of what was asked for, and of the summary at the end. */
  readonly spec: string;
  readonly summary: string | null;
}

/** What `tape ls --json` and `tape show --json` print a line of. */
export interface VolumeUsage {
  readonly barcode: string;
  readonly pool: string | null;
  readonly state: VolumeState;
  readonly reason: string | null;
  readonly capacity: number;
  readonly used: number;
  readonly live: number;
  readonly objects: number;
  /** When the container that was verified longest ago was; null where one never was, or there is none. */
  readonly verifiedAt: number | null;
}

export interface RecallRequestRow {
  readonly id: number;
  readonly filesystem: number;
  readonly ino: number;
  readonly path: string;
  readonly job: number | null;
  readonly state: RequestState;
  readonly priority: number;
  readonly createdAt: number;
  readonly endedAt: number | null;
  readonly reason: string | null;
}

export interface EventRow {
  readonly id: number;
  readonly at: number;
  readonly kind: string;
  readonly uid: number | null;
  /** JSON. */
  readonly data: string;
}

/** A copy on a volume that is to be emptied. */
export interface CopyToKeep {
  readonly object: Buffer;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly sha256: Buffer;
  /** Row id of the filesystem that it was read from. */
  readonly filesystem: number;
  /** Byte offset of the pax header in the container, and bytes of header, payload and padding. */
  readonly offset: number;
  readonly length: number;
  /** An old version whose retention has ended, and no file's present one. */
  readonly isExpired: boolean;
  /** There is another good copy of it in the same pool, read back. */
  readonly isElsewhere: boolean;
}

/** A version of a file that ended: the file was changed, or went. */
export interface OldVersionRow {
  readonly object: Buffer;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly endedAt: number;
}

/** A further copy of an object that is known. */
export interface NewCopy {
  readonly object: Buffer;
  readonly offset: number;
  readonly length: number;
}

export interface NewFileState {
  readonly ino: number;
  readonly to: FileState;
  /** ctime after hsm's own last touch, when it changed. */
  readonly ctimeNs?: bigint;
}

export interface FileName {
  readonly ino: number;
  /** Relative to the filesystem's root. */
  readonly path: Buffer;
}

/** A stub that was made from an object, on an inode that the catalogue does not know yet. */
export interface NewStub {
  readonly object: Buffer;
  readonly ino: number;
  readonly handleHash: number;
  readonly ctimeNs: bigint;
  /** Relative to the filesystem's root. */
  readonly path: Buffer;
}

/**
 * All of the catalogue, durable (`synchronous=FULL`) when a promise resolves. Each consumer declares the narrow part
 * it needs as `Pick<Catalog, ...>`. Bulk methods work in slices of a few thousand rows, each its own transaction,
 * and let the event loop run in between.
 */
export type UsedKind = 'drive' | 'volume' | 'cleaning';

/** What is counted of drives and cartridges; it only grows. */
export interface UseCounts {
  readonly mounts: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Mounts that failed, in loading, reading and writing. */
  readonly loadErrors: number;
  readonly readErrors: number;
  readonly writeErrors: number;
  /** Errors that the drive itself got over, as far as it tells. */
  readonly softReadErrors: number;
  readonly softWriteErrors: number;
  /** ms spent in reads, writes, filemarks and locates. */
  readonly motionMs: number;
}

/** `name`: a drive's serial number, or its name where it has none; a barcode. */
export interface MediaUse extends UseCounts {
  readonly kind: UsedKind;
  readonly name: string;
  /** ms since the epoch. */
  readonly firstUsedAt: number | null;
  readonly lastUsedAt: number | null;
  /** What a drive told last, JSON; null: nothing. */
  readonly report: string | null;
  readonly reportedAt: number | null;
}

/** What came on top, between `firstUsedAt` and `lastUsedAt`. */
export interface NewUse extends UseCounts {
  readonly kind: UsedKind;
  readonly name: string;
  readonly firstUsedAt: number;
  readonly lastUsedAt: number;
}

export interface Catalog {
  // filesystems
  addFilesystem(row: Omit<FilesystemRow, 'id'>): Promise<FilesystemRow>;
  filesystems(): Promise<FilesystemRow[]>;

  // volumes and containers
  addVolume(volume: { barcode: string; pool: string | null; capacity: number }): Promise<VolumeRow>;
  volumes(): Promise<VolumeRow[]>;
  volume(barcode: string): Promise<VolumeRow | undefined>;
  setVolume(barcode: string, change: { state?: VolumeState; reason?: string | null; pool?: string; used?: number; endBlock?: number; serial?: string }): Promise<void>;
  /** The volume leaves the library; importVolume() gives it the state that it had. */
  exportVolume(barcode: string): Promise<void>;
  importVolume(barcode: string): Promise<void>;
  /** Forgets a volume without objects (else `REFUSED`). */
  removeVolume(barcode: string): Promise<void>;
  /** Adds to what is counted of drives and cartridges, all of it or nothing. */
  addUse(uses: readonly NewUse[]): Promise<void>;
  /** What a drive tells of itself or of what is in it replaces what was told before. */
  setReport(kind: UsedKind, name: string, report: string): Promise<void>;
  mediaUse(): Promise<MediaUse[]>;
  /** Next container number of the volume, recorded as 'writing' before the first block is written. */
  beginContainer(barcode: string, startBlock: number): Promise<ContainerRow>;
  /** After the synchronous filemark: the container, the volume's end and use. Durable before members are added. */
  closeContainer(id: number, end: { state: Exclude<ContainerState, 'writing'>; bytes: number; endBlock: number; used: number }): Promise<void>;
  containers(barcode: string): Promise<ContainerRow[]>;
  /** Records that a container was read back and every member's hash was right. */
  markVerified(containers: readonly number[]): Promise<void>;

  // archive
  /** Files, objects and one copy per container, in slices; every file of it becomes 'archived'. An older object of the same inode stays as an old version without a file. */
  addArchived(containers: readonly number[], members: ArchivedMembers): Promise<void>;
  /** Stubs that were made again on another filesystem: their objects are these files' present versions from now on, and no others'. */
  adoptStubs(filesystem: number, stubs: readonly NewStub[]): Promise<void>;
  filesByInode(filesystem: number, inos: readonly number[]): Promise<(FileRow | undefined)[]>;
  object(id: Buffer): Promise<ObjectRow | undefined>;
  objects(ids: readonly Buffer[]): Promise<(ObjectRow | undefined)[]>;
  /** Every move is checked against `fileMoves`; an illegal one fails with `BAD_MOVE` and none of its slice is made. */
  moveFiles(filesystem: number, moves: readonly NewFileState[]): Promise<void>;
  /** Forgets rows whose file is gone or foreign. */
  dropFiles(filesystem: number, inos: readonly number[]): Promise<void>;
  /** Rows of files behind an inode, ascending: a page of all that the catalogue knows. */
  filesBehind(filesystem: number, ino: number, limit: number): Promise<FileRow[]>;
  /** Paths as the catalogue has them, in the order of `inos`. */
  pathsOf(filesystem: number, inos: readonly number[]): Promise<(Buffer | undefined)[]>;
  /** The names under which files are found now. */
  renameFiles(filesystem: number, files: readonly FileName[]): Promise<void>;
  /** The file whose present version an object is. */
  ownerOf(object: Buffer): Promise<{ readonly filesystem: number; readonly ino: number } | undefined>;
  filesInState(filesystem: number, state: FileState, limit: number): Promise<FileRow[]>;
  countStates(filesystem: number): Promise<Record<FileState, number>>;
  /** Path relative to the filesystem's root, from the catalogue (the file may have been renamed since). */
  pathOf(filesystem: number, ino: number): Promise<Buffer | undefined>;
  volumeUsage(): Promise<VolumeUsage[]>;
  /** Objects on a volume, in tape order, a page at a time. */
  objectsOnVolume(barcode: string, after: { container: number; offset: number } | null, limit: number): Promise<{ object: ObjectRow; copy: CopyRow; filesystem: number | null; path: Buffer | null }[]>;

  // reclaim
  /** The container's copies behind `after`, in tape order. Old versions that ended at `endedBefore` (ms) or earlier have expired; volumes of `leaving` do not count as elsewhere. */
  copiesToKeep(container: number, after: number, limit: number, of: { readonly endedBefore: number; readonly leaving: readonly string[] }): Promise<CopyToKeep[]>;
  /** Further copies of known objects in a container that was read back, in slices. `BAD_CONTAINER` for one that was not. */
  addCopies(container: number, copies: readonly NewCopy[]): Promise<void>;
  /** Drops the container's copies (of `objects`, else of all) whose objects have a good, verified one on another volume of the pool. Resolves with how many. */
  dropMovedCopies(container: number, objects?: readonly Buffer[]): Promise<number>;
  /** Drops the container's copies of those objects that have expired, and the objects that have no other copy. Resolves with how many copies went. */
  dropExpiredCopies(container: number, objects: readonly Buffer[], endedBefore: number): Promise<number>;
  /** An empty volume (else `REFUSED`) becomes scratch and all its containers void; it is written from `firstBlock` on. */
  scratchVolume(barcode: string, firstBlock: number): Promise<void>;

  /** Versions of files that had this path, relative to the root, when they ended; the newest first. */
  oldVersions(filesystem: number, path: Buffer): Promise<OldVersionRow[]>;

  // jobs, recall requests, events
  addJob(kind: JobKind, uid: number, spec: unknown): Promise<JobRow>;
  setJob(id: number, state: JobState, summary?: unknown): Promise<void>;
  jobs(limit: number): Promise<JobRow[]>;
  addRecallRequest(row: { filesystem: number; ino: number; path: string; job: number | null; priority: number }): Promise<number>;
  endRecallRequests(ids: readonly number[], state: 'failed' | 'done' | 'cancelled', reason: string | null): Promise<void>;
  openRecallRequests(): Promise<RecallRequestRow[]>;
  logEvent(kind: string, uid: number | null, data: unknown): Promise<void>;
  events(limit: number): Promise<EventRow[]>;
  /** The newest of a kind that the log still has. */
  lastEvent(kind: string): Promise<EventRow | undefined>;

  /** Starts the thread that a dump needs, for one that is to come soon. */
  prepareDump(): MaintenanceThread;
  /** A consistent copy of the whole database into a new file (VACUUM INTO), durable unless `durable` is false. `thread`: a prepared one. */
  dump(path: string, options?: { readonly thread?: MaintenanceThread | undefined; readonly durable?: boolean }): Promise<void>;
  /** Inodes whose name a newer file has. */
  supersededFiles(filesystem: number): Promise<number[]>;
  /** integrity_check and foreign_key_check; empty when all is well. */
  check(): Promise<string[]>;
  close(): Promise<void>;
}
