/** The C++ addon: what the kernel does for hsm, with Node-like errors `{code, errno, syscall, path}`. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Path bytes relative to a filesystem's root, without a leading slash; empty for the root itself. */
export type RelPath = Buffer;

/** statx(2) result. Times are ns since the epoch; `blocks` counts 512-byte units. */
export interface FileStat {
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly blocks: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  /** `STATX_ATTR_*` bits. */
  readonly attributes: number;
  /** `major << 20 | minor` as in Linux's internal dev_t; equal numbers mean the same device. */
  readonly dev: number;
  readonly mountId: number;
}

export interface WalkOptions {
  /** Threads that read directories; 2 is the measured best on two cores. */
  readonly threads: number;
  /** Whose `security.bpf.hsm` record is read: no file's, that of files with no data block and size > 0, or every file's. */
  readonly records: 'none' | 'hollow' | 'all';
  /** Rows in a batch, at most (default 16,384). */
  readonly batchRows?: number;
  /** false: only the entries of the named directories themselves (`ls` without -R). */
  readonly recursive?: boolean;
}

/** A batch of regular files in flat memory. Row i is described by element i of every array. */
export interface WalkBatch {
  readonly count: number;
  /** Index into `dirs`. Rows of one directory are consecutive within a batch. */
  readonly dir: Uint32Array;
  /** Paths of the directories that this batch mentions, relative to the walk's root (bytes as on disk). */
  readonly dirs: readonly Buffer[];
  /** Row i's name is `names.subarray(nameEnd[i-1] ?? 0, nameEnd[i])`. */
  readonly names: Buffer;
  readonly nameEnd: Uint32Array;
  readonly ino: Float64Array;
  readonly size: Float64Array;
  readonly blocks: Float64Array;
  readonly atimeNs: BigInt64Array;
  readonly mtimeNs: BigInt64Array;
  readonly ctimeNs: BigInt64Array;
  readonly mode: Uint32Array;
  readonly uid: Uint32Array;
  readonly gid: Uint32Array;
  readonly nlink: Uint32Array;
  /** STATX_ATTR_* bits. */
  readonly attributes: Uint32Array;
  /** 1 where the file carries a `security.bpf.hsm` value of exactly 64 bytes; else 0 (2: a value of another length). */
  readonly hasRecord: Uint8Array;
  /** 64 bytes a row when `records` is not 'none'; zeros where there is none. */
  readonly records: Buffer;
  /** Entries not followed since the last batch: symbolic links, other non-regular files, directories on another device. */
  readonly symlinks: number;
  readonly special: number;
  readonly otherFilesystems: number;
  readonly directories: number;
  /** Directories or entries that could not be read; the walk goes on. `errno` is negative, as in Node's errors. */
  readonly errors: readonly { readonly path: Buffer; readonly errno: number; readonly code: string }[];
}

/**
 * Parallel getdents64 + statx walk. Memory is bounded: readers wait while 4 batches are unread. Every name is reported, so a file with
 * hard links is seen as often as it has names below the paths, and again where paths overlap. What vanishes meanwhile is no error.
 */
export interface Walker {
  /** The next batch, or null at the end. One call at a time. */
  next(): Promise<WalkBatch | null>;
  /** Frees a batch's memory at once instead of at some garbage collection; all its arrays but `dirs` are empty afterwards. Optional. */
  release(batch: WalkBatch): void;
  /** Stops the threads; next() then resolves null. Safe to call twice. */
  close(): void;
}

export interface EvictContext {
  /** The fanotify group whose ignore marks are removed; -1 in tests without a group. */
  readonly groupFd: number;
  /** Directory fd opened inside the private mount (its opens raise no events). */
  readonly mountFd: number;
}

export interface EvictItem {
  readonly path: RelPath;
  readonly ino: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  /** CRC-32C of the inode's file handle, as in the stub record. */
  readonly handleHash: number;
  /** 64 bytes, ready to set. */
  readonly record: Buffer;
}

/** How one file of a batch ended. Negative numbers are -errno. */
export const evictStatus = { released: 0, open: 1, changed: 2, immutable: 3, gone: 4, stub: 5, small: 6 } as const;

export interface EvictResult {
  /** `evictStatus` values or -errno. */
  readonly status: Int32Array;
  /** ctime after hsm's own last touch, for rows with status `released`. */
  readonly ctimeNs: BigInt64Array;
  /** Bytes of disk blocks freed. */
  readonly freed: number;
}

export interface PackOptions {
  readonly mountFd: number;
  /** Tape block size in bytes (1 MiB). */
  readonly blockSize: number;
  /** Reader threads for small files (default 2). */
  readonly threads?: number;
  /** First 8 bytes of every object id given out by this packer: UUIDv7-like, big-endian ms << 16 | random. */
  readonly objectPrefix: Buffer;
  /** UUID of the filesystem that the files are from, for the end of the index; at most 64 bytes. */
  readonly filesystem?: string;
}

/** Files to pack, in tape order. */
export interface PackInput {
  readonly count: number;
  readonly dir: Uint32Array;
  readonly dirs: readonly Buffer[];
  readonly names: Buffer;
  readonly nameEnd: Uint32Array;
  readonly ino: Float64Array;
}

/**
 * How one member ended; negative numbers are -errno of the step that failed. `packed` and `hardlink` (a further name of an
 * inode that is in this container: same object and hash, a member without payload) are good. A row of another status that has
 * a length is a void member: a large file that changed or failed while it was copied.
 */
export const packStatus = {
  packed: 0,
  open: 1,
  changed: 2,
  immutable: 3,
  gone: 4,
  stub: 5,
  small: 6,
  empty: 7,
  hardlink: 8,
} as const;

/** Members that ended since the last block, flat. `row` counts pushed files from 0 over the whole container. */
export interface PackedMembers {
  readonly count: number;
  readonly row: Uint32Array;
  readonly status: Int32Array;
  /** Byte offset of the member's pax header within the container. */
  readonly offset: Float64Array;
  /** Bytes of headers, payload and padding. */
  readonly length: Float64Array;
  /** From the member's offset to its payload. */
  readonly headerLength: Float64Array;
  readonly size: Float64Array;
  readonly mtimeNs: BigInt64Array;
  readonly ctimeNs: BigInt64Array;
  readonly ino: Float64Array;
  readonly nlink: Uint32Array;
  readonly handleHash: Uint32Array;
  /** 16 bytes a row. */
  readonly objectIds: Buffer;
  /** SHA-256 of the payload as stored (sparse: map and segments), 32 bytes a row. */
  readonly sha256: Buffer;
}

export interface PackedBlock {
  /** Exactly blockSize bytes, page-aligned, or null when the container is finished. Give back with release(). */
  readonly block: Buffer | null;
  readonly members: PackedMembers;
}

/** Turns files into the blocks of one container after the other (docs/tape-format.md). All I/O and hashing off the JS thread. */
export interface Packer {
  /** Starts a container. */
  begin(): void;
  /** Queues files; they are read in order. About 300 bytes of index are held per file until the container ends: push 250,000 at most. */
  push(input: PackInput): void;
  /** Adds a file from anywhere, such as the catalogue dump, under `name`; it takes a row like any other. */
  pushFile(name: string, path: string): void;
  /** No more files: after the last member come the index member and the end of the archive. */
  end(): void;
  /** Next block in order. Resolves with block null once, at the end of the container. A container without a member has no block. */
  next(): Promise<PackedBlock>;
  /** Gives a block's memory back to the packer. */
  release(block: Buffer): void;
  /**
   * Drops what is left of the container (early warning, cancel); the packer can begin() again afterwards. A next() that
   * waits rejects with ECANCELED; blocks that are out stay valid until release().
   */
  abort(): Promise<void>;
  close(): void;
}

/** One file to restore from the container that is being read. */
export interface ExtractTarget {
  /** Byte offset of the member's pax header within the container. */
  readonly offset: number;
  readonly objectId: Buffer;
  readonly size: number;
  /** null: unknown (catalogue lost), then the hash in the member's header or index decides. */
  readonly sha256: Buffer | null;
  /**
   * fd to write through: an event fd, or one opened O_RDWR on the private mount. The caller closes it. -1: verify only; then a
   * header that is damaged anywhere is a `wrongMember` too.
   */
  readonly fd: number;
  /** The record that the inode must carry when the restore starts; null for a plain extract to a new file. */
  readonly record: Buffer | null;
}

export const extractStatus = { restored: 0, badHash: 1, wrongMember: 2, recordChanged: 3, truncated: 4 } as const;

export interface ExtractResult {
  /** Index into the targets. */
  readonly target: number;
  /** `extractStatus` or -errno (ENOSPC, EDQUOT, EIO of the destination). */
  readonly status: number;
}

/** A member's header as tape has it (docs/tape-format.md), for whoever has no index. */
export type ParsedMember =
  | { readonly status: 'bad' }
  /** Zeros: the end of the archive. */
  | { readonly status: 'end' }
  /** The header is longer than the data: at least `need` bytes are wanted. */
  | { readonly status: 'more'; readonly need: number }
  | {
      readonly status: 'ok';
      /** '0': file; '1': a further name of the file `link`. */
      readonly type: '0' | '1';
      readonly headerLength: number;
      /** Stored bytes; other than `size` where the file is sparse. */
      readonly payload: number;
      readonly size: number;
      readonly sparse: boolean;
      /** Every byte of the header is as it was written. */
      readonly intact: boolean;
      readonly name: Buffer;
      readonly link: Buffer;
      readonly mtimeNs: bigint;
      readonly object: Buffer | null;
      readonly sha256: Buffer | null;
      /** Hex. */
      readonly handle: string;
    };

/** Restores members from one container's blocks, which arrive in ascending order, gaps allowed between members. */
export interface Extractor {
  /**
   * Takes bytes `[containerOffset, containerOffset + data.length)`; resolves with the targets that ended. One call at a time;
   * `data` must not change before it resolves. No byte of a wrong length or place is ever written, but a badHash may have
   * written wrong bytes: undoRestore(). A target without `record` must have its full size already (holes are not written).
   */
  feed(containerOffset: number, data: Buffer): Promise<ExtractResult[]>;
  /** First container offset still needed, or -1 when every target has ended. */
  readonly needs: number;
  /** Bytes written so far for a target. */
  done(target: number): number;
  /** The container ended: unfinished targets end as `truncated`. */
  finish(): ExtractResult[];
}

export interface CommitItem {
  readonly fd: number;
  readonly size: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
}

export interface CommitResult {
  /** 0 or -errno. After an error the record is still in place. */
  readonly status: Int32Array;
  /** ctime after hsm's last touch. */
  readonly ctimeNs: BigInt64Array;
}

export interface Native {
  // xattr.cc: getxattr(2) and relatives on a file descriptor or a path that is not followed.
  getxattr(target: number | Buffer | string, name: string): Buffer | null;
  setxattr(target: number | Buffer | string, name: string, value: Buffer): void;
  /** For filesystems whose answer may take its time, such as tape's. */
  getxattrAsync(path: Buffer | string, name: string): Promise<Buffer | null>;
  setxattrAsync(path: Buffer | string, name: string, value: Buffer): Promise<void>;
  /** False when there was no such attribute. */
  removexattr(target: number | Buffer | string, name: string): boolean;
  listxattr(target: number | Buffer | string): string[];

  // statx.cc. An empty path means dirFd itself. AT_FDCWD is -100.
  statx(dirFd: number, path: Buffer | string): FileStat;
  /** openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV, plus O_CLOEXEC. */
  openBeneath(dirFd: number, path: RelPath, flags: number): number;
  /** statfs(2): `type` is the magic; `fsid` 8 bytes as hex. */
  statfs(path: string): { readonly type: number; readonly fsid: string; readonly blockSize: number; readonly blocks: number; readonly available: number };

  // handle.cc: name_to_handle_at(2); a handle is `u32 LE type` followed by its bytes.
  fileHandle(dirFd: number, path: Buffer | string): Buffer;
  openByHandle(mountFd: number, handle: Buffer, flags: number): number;
  handleHash(handle: Buffer): number;

  // link.cc
  /** open(2) O_TMPFILE | O_RDWR with mode 0 in a directory: a file that nobody can open by name, and that is gone with its fd unless it gets one. */
  openUnnamed(dirFd: number): number;
  /** linkat(2) AT_EMPTY_PATH: gives fd's inode a name; never replaces one (EEXIST). */
  linkAs(fd: number, dirFd: number, name: Buffer | string): void;

  // lease.cc: fcntl(2) F_SETLEASE, F_GETLEASE; SIGIO is ignored process-wide at load.
  setLease(fd: number, type: 'read' | 'write' | 'none'): void;
  getLease(fd: number): 'read' | 'write' | 'none';

  // fallocate.cc
  punchHole(fd: number, offset: number, length: number): void;
  /** lseek(2): offsets of the first data (-1: there is none) and of the first hole (the end of the file counts as one). Moves the fd's position. */
  dataRange(fd: number): { readonly data: number; readonly hole: number };
  /** futimens(2). */
  setTimes(fd: number, atimeNs: bigint, mtimeNs: bigint): void;
  syncfs(fd: number): Promise<void>;

  // fdchannel.cc: SOCK_SEQPACKET messages with file descriptors.
  socketpair(): [number, number];
  /** Clears close-on-exec, which Node sets on all fds that it inherits. */
  keepAcrossExec(fd: number): void;
  /** Sets close-on-exec. Node does so for what it inherits up to the first gap among the numbers only. */
  closeOnExec(fd: number): void;
  /** SO_PEERCRED. */
  peerCredentials(fd: number): { readonly pid: number; readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
  FdChannel: new (
    fd: number,
    onMessages: (messages: readonly { readonly data: Buffer; readonly fds: readonly number[] }[]) => void,
    onClose: () => void,
  ) => FdChannel;

  // mount.cc: open_tree(2) OPEN_TREE_CLONE; the result is a directory opened inside the detached mount.
  openPrivateMount(path: string): { readonly treeFd: number; readonly dirFd: number };
  /** Whether a filesystem of this number (proc_pid_mountinfo(5)) is mounted anywhere, in whatever namespace: ustat(2). */
  superblockLives(major: number, minor: number): Promise<boolean>;

  // fanotify.cc
  /** Removes (false when there was none) or adds the evictable surviving ignore mark of the inode behind fd. */
  ignoreMark(groupFd: number, fd: number, add: boolean): boolean;
  fanotifyProbe(): { readonly preAccess: boolean; readonly openPerm: boolean; readonly fdError: boolean; readonly pidfd: boolean };

  // crc32c.cc
  crc32c(data: Buffer, seed?: number): number;

  // walk.cc
  /** Walks `paths` (directories or files, relative to rootFd; empty Buffer: rootFd itself). */
  walk(rootFd: number, paths: readonly Buffer[], options: WalkOptions): Walker;

  // evict.cc: facts of "race-free eviction", a whole batch on a worker thread.
  evict(context: EvictContext, items: readonly EvictItem[]): Promise<EvictResult>;

  // digest.cc: SHA-256 of a file's payload exactly as the packer would store it, with the statx before and after equal; null if it changed.
  payloadDigest(mountFd: number, path: RelPath): Promise<{ readonly sha256: Buffer; readonly stat: FileStat } | null>;

  // directio.cc
  /** Bytes that O_DIRECT asks memory and offsets to be a multiple of; null where the file system does not say (before Linux 6.1) or cannot. */
  directAlignment(fd: number): { readonly memory: number; readonly offset: number } | null;
  /** Page-aligned memory, zeroed. */
  alignedBuffer(size: number): Buffer;

  // memory.cc
  /** malloc_trim(3): free memory goes back to the system. */
  trimMemory(): Promise<void>;

  // packer.cc, extractor.cc
  Packer: new (options: PackOptions) => Packer;
  Extractor: new (targets: readonly ExtractTarget[]) => Extractor;
  // pax.cc
  parseMember(data: Buffer): ParsedMember;
  /**
   * Makes restored files ordinary again: one fsync per file or one syncfs for all, then futimens, record removed, ignore mark, statx.
   * Data is durable before any record is dropped.
   */
  commitRestore(groupFd: number, items: readonly CommitItem[]): Promise<CommitResult>;
  /** Undoes a restore that failed: punch all, times back. The record was never touched. */
  undoRestore(item: CommitItem): Promise<void>;

  // tape.cc: the st driver's ioctls and blocks. Each works on a duplicate of `fd`, which may be closed meanwhile.
  readonly tape: TapeConstants;
  tapeOperation(fd: number, operation: number, count: number): Promise<void>;
  tapeStatus(fd: number): Promise<TapeStatus>;
  tapePosition(fd: number): Promise<number>;
  /** `into` and `data` belong to the call until the promise settles. */
  tapeRead(fd: number, into: Buffer): Promise<number>;
  tapeWrite(fd: number, data: Buffer): Promise<number>;
  /** SG_IO: a command of 6 to 16 bytes whose reply (at most 64 KiB) comes from the device. `status` is SCSI's: 0 good, 2 look at the sense data. */
  scsiCommand(fd: number, command: Buffer, replyLength: number, timeoutMs: number): Promise<{ readonly status: number; readonly sense: Buffer; readonly data: Buffer }>;
}

/** MTIOCTOP's operations, by the names of st(4). */
export type TapeOperation =
  | 'MTFSF'
  | 'MTFSR'
  | 'MTWEOF'
  | 'MTWEOFI'
  | 'MTREW'
  | 'MTOFFL'
  | 'MTEOM'
  | 'MTSEEK'
  | 'MTSETBLK'
  | 'MTSETDRVBUFFER'
  | 'MTLOAD'
  | 'MTUNLOAD'
  | 'MTLOCK'
  | 'MTUNLOCK';

/** MTIOCGET. `file` and `block` are -1 where the driver does not know. The flags are the GMT_ bits of st(4). */
export interface TapeStatus {
  readonly file: number;
  readonly block: number;
  readonly partition: number;
  readonly density: number;
  readonly beginning: boolean;
  /** The position is right behind a filemark. */
  readonly filemark: boolean;
  readonly earlyWarning: boolean;
  readonly endOfData: boolean;
  readonly writeProtected: boolean;
  readonly online: boolean;
  readonly doorOpen: boolean;
  readonly cleaning: boolean;
}

/** Numbers of <linux/mtio.h>: MTIOCTOP operations, and the bits of MTSETDRVBUFFER. */
export type TapeConstants = Readonly<
  Record<
    TapeOperation | 'setBooleans' | 'clearBooleans' | 'bufferWrites' | 'asyncWrites' | 'readAhead' | 'twoFilemarks' | 'fastEom' | 'autoLock' | 'canBsr' | 'scsi2Logical',
    number
  >
>;

export interface FdChannel {
  /** False when the peer is gone. Waits (poll) while the socket is full, at most 1 s. */
  send(data: Buffer, fds?: readonly number[]): boolean;
  close(): void;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Checked before anything native is loaded: better-sqlite3 13 crashes without a message on an older Node. */
if (Number(process.versions.node.split('.')[0]) < 24) {
  throw new Error(`hsm needs the Node 24 of its package-lock.json, not ${process.version}: run it as ${root}bin/hsm`);
}

export const native = createRequire(import.meta.url)(`${root}native/build/Release/hsm.node`) as Native;
export const keeperPath = `${root}native/build/Release/hsm-keeper`;
export const projectRoot = root;
