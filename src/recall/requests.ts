/** Recall requests: one per inode, with all who wait for it. Pure bookkeeping; the engine moves them. */
import type { CopyRow, ObjectRow } from '../catalog/model.ts';
import type { StubRecord } from '../stub.ts';
import type { Asker } from './limits/rules.ts';

export interface Waiter {
  /** The keeper's event id. */
  readonly event: number;
  readonly pid: number;
  readonly uid: number;
  readonly exe: string;
  /** The same for limits. */
  readonly asker: Asker;
  /** When it came, ms of performance.now(). */
  readonly since: number;
}

export type RequestState = 'queued' | 'loading' | 'locating' | 'restoring';

/** Somebody waits for it, or only a job wants it. */
export const priorities = { interactive: 100, bulk: 50 } as const;

export interface RecallFailure {
  readonly code: string;
  readonly message: string;
}

/** A job's interest in one file, or that of recalling ahead. */
export interface JobInterest {
  readonly job: number;
  readonly relPath: Buffer;
  /** null: the file is on disk again. */
  ended(failure: RecallFailure | null, bytes: number): void;
}

export interface RecallRequest {
  readonly id: number;
  readonly key: string;
  /** Index in the configuration's filesystems. */
  readonly filesystem: number;
  readonly ino: number;
  /** For people: absolute where known. */
  readonly path: string;
  readonly createdAt: number;
  readonly record: StubRecord;
  /** The record's 64 bytes, as they must still be when the restore starts. */
  bytes: Buffer;
  readonly waiters: Map<number, Waiter>;
  /** Of jobs; two when a job meets two names of one inode. */
  interests: readonly JobInterest[];
  /** An event's fd; null: the restorer opens the job's path. */
  fd: number | null;
  state: RequestState;
  /** The catalogue has a row of this very inode, whose state follows. */
  inCatalogue: boolean;
  object: ObjectRow | null;
  /** Copies not tried yet, the next one first. */
  copies: readonly CopyRow[];
  /** Bytes on disk again. */
  done: number;
  /** Set by cancel: ends the request at the next step. */
  cancelled: RecallFailure | null;
  /** Higher goes first; `priorities`, unless an operator said otherwise. */
  priority: number;
  /** An operator set the priority: new waiters do not raise it. */
  priorityPinned: boolean;
  /** The reader ahead of whom it is recalled, and nobody has asked for it yet; null: it was asked for. */
  ahead: Asker | null;
  /** Whose it is where users share drives: `u1000` of a user, also ahead of his programs, `j3` of a job. */
  owner: string;
  /** Why it waits, or what went wrong with a copy. */
  reason: string | null;
}

export const requestKey = (filesystem: number, ino: number, handleHash: number): string => `${filesystem}:${ino}:${handleHash}`;

export const isWanted = (request: RecallRequest): boolean => request.waiters.size > 0 || request.interests.length > 0;
