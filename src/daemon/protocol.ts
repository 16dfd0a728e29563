/** The control socket's protocol: JSON lines over a Unix stream socket, version 1 (docs/protocol.md). */

export const protocolVersion = 1;

/** Longest line either side accepts, in bytes, without its newline. The server takes 1 MiB at most from other users than root and the group `hsm`. */
export const maxLine = 16 * 2 ** 20;

/** First line from the server on every connection. */
export interface Hello {
  readonly hsm: string;
  readonly protocol: number;
  readonly pid: number;
}

export interface Request {
  /** 1 or more, and not that of another request in flight on this connection. */
  readonly id: number;
  readonly method: Method;
  readonly params?: Readonly<Record<string, unknown>>;
}

/**
 * Any number of `progress`, `row` and `job` lines, then exactly one `result` or `error` line. Progress may be left out when the reader is
 * slow. An error with id 0 answers a line that was no request; the server then hangs up.
 */
export type Response =
  | { readonly id: number; readonly progress: Progress }
  | { readonly id: number; readonly row: unknown }
  | { readonly id: number; readonly job: string }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string; readonly path?: string; readonly exit: number } };

export interface Progress {
  readonly phase: string;
  readonly files: number;
  readonly bytes: number;
  /** Totals when known, else null. */
  readonly totalFiles: number | null;
  readonly totalBytes: number | null;
  readonly note?: string;
}

/** What archive, release and recall end with: the last line of --json. */
export interface Summary {
  readonly summary: true;
  readonly archived: number;
  readonly released: number;
  readonly recalled: number;
  readonly bytes: number;
  readonly skipped: Readonly<Record<string, number>>;
  readonly failed: number;
  /** True when the job was cancelled: the client exits 130. */
  readonly interrupted?: boolean;
}

/** A row of archive, release and recall. Failures are always sent; the rest only with `verbose`. */
export interface FileRowLine {
  readonly path: string;
  readonly pathBase64?: string;
  readonly result: 'archived' | 'released' | 'recalled' | 'restored' | 'incomplete' | 'skipped' | 'failed';
  /** Why it was skipped or failed: a key of `Summary.skipped`, or a sentence for a person. */
  readonly reason?: string;
  readonly size?: number;
}

/** An element of what `files` answers. The file is as recorded while its size and mtime are these. */
export interface FileInfo {
  readonly state: 'resident' | 'archiving' | 'archived' | 'stub' | 'recalling';
  readonly size: number;
  /** Decimal ns since the epoch, as a string. */
  readonly mtimeNs: string;
  /** 32 hex digits. */
  readonly object: string;
  readonly copies: readonly { readonly volume: string; readonly container: number; readonly offset: number; readonly pool: string | null }[];
}

/** A point in time in rows and results: ISO 8601 in UTC, such as `2026-03-01T12:00:00.000Z`. */
export type WireTime = string;

/** A row of `tapes`, and the first row of `tape`. */
export interface VolumeLine {
  readonly barcode: string;
  readonly pool: string | null;
  /** `cleaning`, in `tapes` only: a cleaning cartridge, which is no volume. */
  readonly state: 'scratch' | 'writable' | 'full' | 'readonly' | 'suspect' | 'failed' | 'exported' | 'cleaning';
  readonly reason: string | null;
  /** `slot 3`, `drive0`, `shelf`; null when nobody knows. */
  readonly location: string | null;
  readonly capacity: number;
  readonly used: number;
  readonly live: number;
  readonly objects: number;
  /** ms since the epoch: when the container that was verified longest ago was; null where one never was. */
  readonly verifiedAt?: number | null;
  /** In `tapes` and `tape`, as is `health`. */
  readonly use?: UseLine | null;
  readonly health?: HealthLine | null;
}

/**
 * What a drive told last, of itself (`device`) or of a volume in it (`volume`, `medium`): counters of its log pages and the cartridge's chip, by names, since
 * they were made. Null, and keys left out: it does not tell.
 */
export interface HealthLine {
  readonly at: WireTime | null;
  readonly moment: 'loaded' | 'unloading' | 'failed';
  /** TapeAlert flags that were set. */
  readonly alerts: readonly { readonly flag: number; readonly name: string; readonly severity: string }[] | null;
  /** Of this mount, with most drives. */
  readonly readErrors: HealthCounters | null;
  readonly writeErrors: HealthCounters | null;
  readonly device?: HealthCounters | null;
  readonly medium?: Readonly<Record<string, number | string>> | null;
  /** Of a drive's: the barcode of what was in it. */
  readonly volume?: string | HealthCounters | null;
  /** Of a volume's: the drive that told. */
  readonly drive?: string;
}

type HealthCounters = Readonly<Record<string, number>>;

/** What a drive or volume has been through under this catalogue; null: nothing yet. Errors count for the drive and the volume alike. */
export interface UseLine {
  readonly mounts: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Mounts that failed, in loading, reading and writing. */
  readonly loadErrors: number;
  readonly readErrors: number;
  readonly writeErrors: number;
  /** Errors that the drive got over itself, as far as it tells. */
  readonly softReadErrors: number;
  readonly softWriteErrors: number;
  /** Time in reads, writes, filemarks and locates. */
  readonly motionSeconds: number;
  readonly firstUsedAt: WireTime | null;
  readonly lastUsedAt: WireTime | null;
}

/** Every row of `tape` but the first, in tape order. `path` is absolute, null for an old version without a file. */
export interface ObjectLine {
  readonly object: string;
  readonly container: number;
  readonly offset: number;
  readonly size: number;
  readonly path: string | null;
  readonly pathBase64?: string;
}

/** What is paused: a row of `pauses`, and an element of `Status.pauses`. */
export interface PauseLine {
  readonly kind: 'all' | 'volume' | 'drive' | 'user';
  /** Barcode, drive or uid; null with `all`. */
  readonly name: string | null;
  readonly reason: string | null;
  readonly since: WireTime;
}

/** A row of `drives`, and what `drive` answers. */
export interface DriveLine {
  readonly name: string;
  readonly state: 'empty' | 'loading' | 'ready' | 'busy' | 'failed';
  readonly admin: 'up' | 'down';
  readonly reason: string | null;
  readonly barcode: string | null;
  /** Bytes a second in the last ten seconds; null: not known yet. */
  readonly rate?: number | null;
  /** Null: it has none, or has not told it. In `drives` and `drive`, as are `use` and `health`. */
  readonly serial?: string | null;
  readonly use?: UseLine | null;
  readonly health?: HealthLine | null;
}

/** A row of `inventory`: a slot or a drive, and whether the catalogue knows the cartridge in it. */
export interface ElementLine {
  /** `slot 3`, or a drive's name. */
  readonly location: string;
  readonly barcode: string | null;
  /** The volume's state; null: not in the catalogue. */
  readonly state: string | null;
}

/** A row of `queue`. Times in seconds, null where nobody can tell. `done` counts bytes, `position` requests before this one. */
export interface QueueLine {
  readonly id: string;
  readonly path: string;
  readonly pathBase64?: string;
  readonly state: 'queued' | 'loading' | 'locating' | 'restoring' | 'failed';
  readonly volume: string | null;
  readonly container: number | null;
  readonly size: number;
  readonly done: number;
  readonly position: number | null;
  readonly eta: number | null;
  readonly age: number;
  readonly askedAt?: WireTime;
  readonly priority: number;
  readonly reason: string | null;
  readonly waiters: readonly { readonly pid: number; readonly uid: number; readonly exe: string | null }[];
}

/** A row of `events`, newest first. `uid` and `pid`: who did it; null where nobody asked for it. */
export interface EventLine {
  readonly id: number;
  readonly at: WireTime;
  readonly kind: string;
  readonly uid: number | null;
  readonly pid: number | null;
  readonly data: unknown;
}

/** What `watch` tells of, and the key of its rows. */
export const watchKeys = { status: 'id', drives: 'name', queue: 'id', volumes: 'barcode', jobs: 'id', events: 'id' } as const;
export type WatchTopic = keyof typeof watchKeys;

/**
 * A row of `watch`: first one with `watch`, then changes, and an `at` after each round of them. Rows are those of the methods of the same
 * names, but of `queue` without `age` and `eta`: `askedAt` and `readyAt` stand still. Of a row that the client has, only what changed is sent.
 */
export type WatchRow =
  | { readonly watch: { readonly operator: boolean; readonly uid: number; readonly topics: readonly WatchTopic[] } }
  | { readonly topic: WatchTopic; readonly set: readonly Readonly<Record<string, unknown>>[]; readonly gone?: readonly unknown[] }
  | { readonly at: WireTime };

/** A row of `jobs`, newest first. */
export interface JobLine {
  readonly id: string;
  readonly kind: string;
  readonly state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  readonly uid: number;
  readonly createdAt: WireTime;
  readonly startedAt: WireTime | null;
  readonly endedAt: WireTime | null;
  readonly spec: unknown;
  readonly summary: unknown;
  readonly progress: Progress | null;
}

/** What `status` answers. */
export interface Status {
  readonly daemon: { readonly pid: number; readonly startedAt: WireTime; readonly version: string };
  /** `overflow`: the kernel lost events; null or absent: never. */
  readonly keeper: { readonly pid: number | null; readonly overflow?: { readonly count: number; readonly at: WireTime } | null };
  readonly filesystems: readonly {
    readonly path: string;
    readonly type: string;
    readonly guard: 'pre-access' | 'open-only' | 'none';
    readonly stubs: number;
    readonly archived: number;
    readonly mounted: boolean;
    readonly warning: string | null;
  }[];
  /**
   * `files`, `bytes` and `refused` (by rule): since the daemon started. `waiting`: of the queued ones, those that limits, pauses or a full filesystem
   * hold back.
   */
  readonly recalls: {
    readonly queued: number;
    readonly active: number;
    readonly failed: number;
    readonly files?: number;
    readonly bytes?: number;
    readonly waiting?: number;
    /** Users who ask for very many files at once; `since` in ms since the epoch. */
    readonly storms?: readonly { readonly uid: number; readonly exe: string; readonly requests: number; readonly since: number }[];
    readonly refused?: Readonly<Record<string, number>>;
  };
  readonly pauses?: readonly PauseLine[];
  readonly drives: readonly DriveLine[];
  readonly volumes: readonly VolumeLine[];
}

/** A row of `verify`: an object that cannot be read back right. */
export interface DamageLine {
  readonly volume: string;
  readonly container: number;
  readonly object: string;
  readonly path: string | null;
  readonly pathBase64?: string;
  readonly reason: string;
  /** In a second row of the object: it has a good copy on another volume now, and the damaged one is dropped. */
  readonly repaired?: true;
}

/** A row of `tapeExport`, `tapeImport`, `tapeLock` and `tapeRetire`: what the volume is now. */
export interface MovedVolumeLine {
  readonly barcode: string;
  readonly state: VolumeLine['state'] | 'retired';
  /** Where a person finds the cartridge that was exported. */
  readonly location: string | null;
}

/** What `tapeLabel` answers. */
export interface LabelLine {
  readonly barcode: string;
  /** The barcode in the label on tape; `blank`: nothing is on it; null: it is not hsm's. */
  readonly label: string | null;
  readonly serial: string | null;
  /** Barcode and serial are what the catalogue has. */
  readonly isRight: boolean;
}

/** A row of `tapeReclaim`: a volume that is done with. */
export interface ReclaimLine {
  readonly barcode: string;
  readonly pool: string | null;
  /** `would`: of a dry run. `kept`: too much of it is needed. `failed`: something is still on it. */
  readonly result: 'scratch' | 'would' | 'kept' | 'failed';
  readonly reason: string | null;
  /** Objects that were copied, and their bytes on tape. */
  readonly copied: number;
  readonly bytes: number;
  /** Copies of old versions whose retention has ended. */
  readonly expired: number;
}

/** Another row of `tapeReclaim`: an object that could not be copied from anywhere. */
export interface ReclaimFailureLine {
  readonly volume: string;
  readonly container: number;
  readonly offset: number;
  readonly object: string;
  readonly reason: string;
}

export interface ReclaimSummary {
  readonly summary: true;
  /** Looked at, and made scratch. */
  readonly volumes: number;
  readonly reclaimed: number;
  readonly copied: number;
  readonly bytes: number;
  readonly expired: number;
  /** Stub records that name another volume now. */
  readonly stubs: number;
  readonly failed: number;
  readonly interrupted?: true;
}

/** A row of `versions`, the newest first. */
export interface VersionLine {
  /** 32 hex digits. */
  readonly object: string;
  readonly size: number;
  readonly mtime: WireTime;
  /** When the file was changed, or was found gone. */
  readonly endedAt: WireTime;
  /** Until when no reclaim drops it. */
  readonly keptUntil: WireTime;
  readonly volume: string | null;
}

/** What `undelete` ends with. */
export interface Undeleted {
  readonly path: string;
  readonly pathBase64?: string;
  readonly object: string;
  readonly size: number;
  readonly mtime: WireTime;
  /** Attributes that the filesystem did not take; null: none. */
  readonly incomplete: string | null;
}

/** A row of `reconcile`. */
export interface ReconcileLine {
  readonly path: string;
  readonly pathBase64?: string;
  /**
   * `gone`: the catalogue has a file that is not there. `renamed`: under another name than in the catalogue (`from`). `changed`: other content than
   * what is on tape. `missing-record`: a stub without its record. `foreign-record`: on a file with data. `foreign-stub`: a hollow file with the record of
   * another inode, as from a backup. `unknown-stub`: one that the catalogue does not have. `damaged`: a hollow file that fits no object.
   */
  readonly finding: 'gone' | 'renamed' | 'changed' | 'missing-record' | 'foreign-record' | 'foreign-stub' | 'unknown-stub' | 'damaged';
  /** What is done about it; null: nothing can be. */
  readonly action: 'forget' | 'rename' | 'resident' | 'write-record' | 'drop-record' | 'adopt' | null;
  readonly done: boolean;
  /** Why it was not done. */
  readonly reason: string | null;
  /** Of `renamed`: the name in the catalogue. */
  readonly from?: string;
  /** 32 hex digits. */
  readonly object?: string;
}

export interface ReconcileSummary {
  readonly summary: true;
  /** Files that were looked at. */
  readonly files: number;
  /** By kind. */
  readonly findings: Readonly<Record<string, number>>;
  readonly done: number;
  /** Actions that did not succeed. */
  readonly failed: number;
  readonly interrupted?: true;
}

/** A row of `lostFilesystems`. */
export interface LostFilesystemLine {
  readonly uuid: string;
  /** Where it was mounted, and its UUID where another one is mounted there now. */
  readonly path: string;
  readonly type: string;
  readonly files: number;
}

/** `path`s are absolute; those that are not UTF-8 travel as `{base64}`. */
export type WirePath = string | { readonly base64: string };

export interface ArchiveParams {
  readonly paths: readonly WirePath[];
  /** Seconds. */
  readonly olderThan: number;
  readonly largerThan?: number;
  readonly by: 'used' | 'mtime' | 'atime';
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly pools: readonly string[];
  readonly keepData: boolean;
  readonly dryRun: boolean;
  readonly verbose: boolean;
}

export interface PathsParams {
  readonly paths: readonly WirePath[];
  readonly verbose: boolean;
}

/** A request that could not be recalled again beside others that are. */
export interface RetryFailure {
  readonly id: string;
  readonly code: string;
  readonly message: string;
}

/** Who may call what: `everyone` methods show and cancel only what is the caller's own, unless the caller is root or in the group `hsm`. */
export const access = {
  archive: 'operators', // ArchiveParams -> FileRowLine rows, progress, Summary
  release: 'operators', // PathsParams -> FileRowLine rows, progress, Summary
  recall: 'operators', // PathsParams -> FileRowLine rows, progress, Summary
  versions: 'operators', // {path} -> VersionLine rows
  undelete: 'operators', // {path, into?, object?} -> Undeleted
  reconcile: 'operators', // {filesystemPath?, adopt, dryRun} -> ReconcileLine rows, progress, ReconcileSummary
  restoreTree: 'operators', // {from?, into?, paths?, verbose} -> FileRowLine rows, progress, RestoreTreeSummary
  lostFilesystems: 'operators', // -> LostFilesystemLine rows
  files: 'everyone', // {filesystemPath, inos: number[]} -> result: per ino null | FileInfo
  status: 'everyone', // -> Status
  queue: 'everyone', // -> QueueLine rows
  jobs: 'operators', // {limit} -> JobLine rows
  cancel: 'everyone', // {id: 'r12' | 'j3'} or {user: '1000'} or {volume} or {all: true}, errno? -> {cancelled: n}; {request: id of this connection} is answered by the server itself
  setPriority: 'operators', // {ids: ['r12', ...], priority: 0 to 1000} -> {changed: n}
  pause: 'operators', // {kind: 'all' | 'volume' | 'drive' | 'user', name?, reason?}
  resume: 'operators', // {kind, name?}
  pauses: 'everyone', // -> PauseLine rows
  retry: 'operators', // {ids: ['r12', ...]} of requests that failed -> {retried: n, failed: RetryFailure[]}
  tapes: 'operators', // -> VolumeLine rows
  tape: 'operators', // {barcode} -> rows: a VolumeLine, then its ObjectLines
  tapeAdd: 'operators', // {barcodes, count, pool, capacity} -> VolumeLine rows of what was added
  tapeFormat: 'operators', // {barcode, force}
  tapeExport: 'operators', // {barcodes} -> MovedVolumeLine rows, {volumes}
  tapeImport: 'operators', // {barcodes} -> MovedVolumeLine rows, {volumes}
  tapeLock: 'operators', // {barcodes, locked, reason?} -> MovedVolumeLine rows, {volumes}
  tapeRetire: 'operators', // {barcodes} -> MovedVolumeLine rows, {volumes}
  tapeLabel: 'operators', // {barcode} -> LabelLine
  tapeReclaim: 'operators', // {barcodes, below?, dryRun} -> ReclaimLine and ReclaimFailureLine rows, progress, ReclaimSummary
  inventory: 'operators', // {rescan} -> ElementLine rows
  drives: 'operators', // -> DriveLine rows
  drive: 'operators', // {name} -> DriveLine
  driveClean: 'operators', // {name} -> {name, barcode, uses, usesLeft}, when it is done
  setDrive: 'operators', // {name, admin, reason}
  verify: 'operators', // {tape?, paths?, notVerifiedSince?, sample?, rate?, repair?} -> DamageLine rows, progress, {checked, damaged, repaired}
  hooksTest: 'operators', // -> HookResult rows
  metrics: 'operators', // {json} -> {text}, or with json rows: Family
  events: 'operators', // {limit} -> EventLine rows
  watch: 'everyone', // {topics?, intervalMs?} -> WatchRow rows, until it is cancelled
  unmount: 'operators', // and of them root alone. {path: of a managed filesystem} -> {path, free, elsewhere}
} as const satisfies Record<string, 'everyone' | 'operators'>;

export type Method = keyof typeof access;

export const methods = Object.keys(access) as readonly Method[];
