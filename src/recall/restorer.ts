/** Brings files back from one loaded volume: opens and locks them, reads each container once in tape order, hands them to the committer. */
import { constants } from 'node:fs';
import { constants as os } from 'node:os';
import type { Catalog, CopyRow, NewFileState } from '../catalog/model.ts';
import { errorCode } from '../errors.ts';
import { extractStatus, native, type CommitItem, type ExtractResult, type ExtractTarget, type Extractor } from '../native/index.ts';
import { decodeStubRecord, encodeStubRecord, stubXattr } from '../stub.ts';
import { isNear, type BlockReader } from './block-reader.ts';
import { readInode, timesOf } from './classify.ts';
import { errnoName, type Committer } from './committer.ts';
import type { MoveBatch } from './move-batch.ts';
import { isWanted, type RecallFailure, type RecallRequest } from './requests.ts';
import { blockSize } from './scheduler/travel.ts';

/** A filesystem as the daemon holds it. */
export interface ManagedFilesystem {
  /** Row id in the catalogue. */
  readonly id: number;
  readonly path: string;
  /** Directory fd inside the private mount. */
  readonly mountFd: number;
  readonly locks: InodeLocks;
}

/** Shared with the archiver: only the holder of an inode's lock evicts or restores it. */
export interface InodeLocks {
  tryLock(ino: number): (() => void) | null;
  lock(ino: number): Promise<() => void>;
}

export interface RestoreContext {
  readonly filesystems: readonly ManagedFilesystem[];
  readonly catalog: Pick<Catalog, 'filesByInode'>;
  readonly committer: Committer;
  readonly moves: MoveBatch;
  /** Each request of a batch ends in exactly one of these two calls. */
  restored(request: RecallRequest, bytes: number): void;
  failed(request: RecallRequest, failure: RecallFailure, next: 'other-copy' | 'give-up'): void;
}

/** Files of one container that are open at a time. */
export const batchFiles = 512;

interface Opened {
  readonly request: RecallRequest;
  readonly copy: CopyRow;
  readonly fd: number;
  readonly item: CommitItem;
  readonly unlock: () => void;
}

/** Restores requests that all have their next copy in the same container of the loaded volume, at most `batchFiles`. */
export async function restoreContainer(reader: BlockReader, requests: readonly RecallRequest[], context: RestoreContext): Promise<void> {
  const opened: Opened[] = [];
  for (const request of requests) {
    const each = await open(request, context);
    if (each !== null) opened.push(each);
  }
  if (opened.length === 0) return;
  const settle = new Settlement(new Map(opened.map((each, index) => [index, each])), context);
  let extractor: Extractor | null = null;
  try {
    await markRecalling(opened, context);
    extractor = new native.Extractor(opened.map(targetOf));
    await readBlocks(reader, extractor, opened, settle);
    settle.results(extractor.finish());
    settle.rest({ code: 'EIO', message: 'the container ended before the file' }, 'other-copy');
  } catch (error) {
    // The medium failed or the request was cancelled: what is finished stays finished, the rest is put back.
    extractor?.finish();
    settle.rest({ code: errorCode(error), message: (error as Error).message }, 'other-copy');
  }
  await settle.done();
}

/** Lock, fd, and one more look at the inode under the lock. Null when the request ended here. */
async function open(request: RecallRequest, context: RestoreContext): Promise<Opened | null> {
  const filesystem = context.filesystems[request.filesystem];
  const copy = request.copies[0];
  if (filesystem === undefined || copy === undefined) {
    context.failed(request, { code: 'EIO', message: 'no copy is left' }, 'give-up');
    return null;
  }
  const unlock = filesystem.locks.tryLock(request.ino) ?? (await filesystem.locks.lock(request.ino));
  if (request.cancelled !== null || !isWanted(request)) {
    unlock();
    context.failed(request, request.cancelled ?? { code: 'EAGAIN', message: 'nobody wants it any more' }, 'give-up');
    return null;
  }
  try {
    request.fd ??= native.openBeneath(
      filesystem.mountFd,
      request.interests[0]?.relPath ?? Buffer.alloc(0),
      constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOATIME,
    );
    const { stat, bytes, handleHash } = readInode(request.fd);
    // A job's name may have become another file's; whoever waits, waits for the one that was asked for.
    if (stat.ino !== request.ino) throw Object.assign(new Error('it was replaced while it was queued'), { code: 'EAGAIN' });
    if (bytes === null) {
      unlock();
      context.restored(request, 0);
      return null;
    }
    if (isMoved(bytes, request.record)) request.bytes = bytes;
    if (!bytes.equals(request.bytes) || stat.size !== request.record.size) {
      throw Object.assign(new Error('the file changed while it was queued'), { code: 'EAGAIN' });
    }
    if (request.record.handleHash !== handleHash) adopt(request, request.fd, handleHash);
    request.state = 'restoring';
    const item = { fd: request.fd, size: stat.size, ...timesOf(stat, request.record) };
    return { request, copy, fd: request.fd, item, unlock };
  } catch (error) {
    unlock();
    context.failed(request, { code: errorCode(error), message: (error as Error).message }, 'give-up');
    return null;
  }
}

/** The same record but for the place on tape: reclaim has written it since. */
function isMoved(bytes: Buffer, { object, size, mtimeNs, handleHash }: RecallRequest['record']): boolean {
  const now = decodeStubRecord(bytes);
  return now !== null && now.object.equals(object) && now.size === size && now.mtimeNs === mtimeNs && now.handleHash === handleHash;
}

/** With data and a foreign record it would count as resident: should this recall be cut short, it must be a stub of ours. */
function adopt(request: RecallRequest, fd: number, handleHash: number): void {
  const bytes = encodeStubRecord({ ...request.record, handleHash });
  native.setxattr(fd, stubXattr, bytes);
  request.bytes = bytes;
}

const targetOf = ({ request, copy, fd }: Opened): ExtractTarget => ({
  offset: copy.offset,
  objectId: request.record.object,
  size: request.record.size,
  sha256: request.object?.sha256 ?? null,
  fd,
  record: request.bytes,
});

/** The catalogue's rows follow, where they are this inode's; a row may lag behind after a crash. */
async function markRecalling(opened: readonly Opened[], context: RestoreContext): Promise<void> {
  for (const [filesystem, group] of groupBy(opened, ({ request }) => request.filesystem)) {
    const id = context.filesystems[filesystem]?.id ?? -1;
    const rows = await context.catalog.filesByInode(
      id,
      group.map(({ request }) => request.ino),
    );
    group.forEach(({ request }, index) => {
      const row = rows[index];
      request.inCatalogue = row !== undefined && row.handleHash === request.record.handleHash && row.object.equals(request.record.object);
      if (!request.inCatalogue || row === undefined) return;
      if (row.state === 'archived') context.moves.add(id, { ino: request.ino, to: 'stub' });
      if (row.state === 'archived' || row.state === 'stub') context.moves.add(id, { ino: request.ino, to: 'recalling' });
      else if (row.state !== 'recalling') request.inCatalogue = false;
    });
  }
}

export function groupBy<T, K>(items: Iterable<T>, key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** Ascending runs of container blocks that hold the members; short gaps are read through. */
export function blockRuns(copies: readonly Pick<CopyRow, 'offset' | 'length'>[]): { first: number; last: number }[] {
  const runs: { first: number; last: number }[] = [];
  for (const { offset, length } of copies) {
    const first = Math.floor(offset / blockSize);
    const last = Math.floor((offset + Math.max(length, 1) - 1) / blockSize);
    const run = runs.at(-1);
    if (run !== undefined && isNear(run.last + 1, Math.max(first, run.last + 1), null)) run.last = Math.max(run.last, last);
    else runs.push({ first, last });
  }
  return runs;
}

/** Reads the blocks that are needed; the next block is on its way while the present one is written to the files. */
async function readBlocks(reader: BlockReader, extractor: Extractor, opened: readonly Opened[], settle: Settlement): Promise<void> {
  const start = opened[0]?.copy.startBlock ?? 0;
  let feeding: Promise<void> = Promise.resolve();
  try {
    for (const { first, last } of blockRuns(opened.map(({ copy }) => copy))) {
      await reader.goTo(start + first, () => settle.state('locating'));
      settle.state('restoring');
      for (let block = first; block <= last; block += 1) {
        const data = await reader.read();
        await feeding;
        if (settle.allCancelled()) throw Object.assign(new Error('cancelled'), { code: 'EAGAIN' });
        if (data === 'filemark' || data === 'end') return;
        feeding = extractor.feed(block * blockSize, data).then((results) => settle.results(results, extractor));
        // Should the read fail first, this rejection is reported by the await above or below.
        feeding.catch(() => undefined);
      }
    }
  } finally {
    await feeding;
  }
}

/** Ends every opened file exactly once, and knows when all undo work is through. */
class Settlement {
  readonly #open: Map<number, Opened>;
  readonly #context: RestoreContext;
  readonly #work: Promise<void>[] = [];

  constructor(open: Map<number, Opened>, context: RestoreContext) {
    this.#open = open;
    this.#context = context;
  }

  state(state: 'locating' | 'restoring'): void {
    for (const { request } of this.#open.values()) request.state = state;
  }

  allCancelled(): boolean {
    for (const { request } of this.#open.values()) if (request.cancelled === null && isWanted(request)) return false;
    return this.#open.size > 0;
  }

  results(results: readonly ExtractResult[], extractor?: Extractor): void {
    for (const { target, status } of results) {
      const opened = this.#take(target);
      if (opened === undefined) continue;
      if (status === extractStatus.restored) this.#commit(opened);
      else if (status === extractStatus.recordChanged) this.#leave(opened, failureOf(status));
      else this.#undo(opened, failureOf(status), status < 0 && status !== -os.errno.EIO ? 'give-up' : 'other-copy');
    }
    if (extractor === undefined) return;
    for (const [target, { request }] of this.#open) request.done = extractor.done(target);
  }

  rest(failure: RecallFailure, next: 'other-copy' | 'give-up'): void {
    for (const target of [...this.#open.keys()]) {
      const opened = this.#take(target);
      if (opened !== undefined) this.#undo(opened, opened.request.cancelled ?? failure, opened.request.cancelled === null ? next : 'give-up');
    }
  }

  async done(): Promise<void> {
    await Promise.all(this.#work);
  }

  #take(target: number): Opened | undefined {
    const opened = this.#open.get(target);
    this.#open.delete(target);
    return opened;
  }

  #commit(opened: Opened): void {
    const { request } = opened;
    request.done = opened.item.size;
    this.#context.committer.add({
      item: opened.item,
      committed: (error, ctimeNs) => {
        if (error !== null) {
          this.#undo(opened, { code: error, message: 'the restored data could not be made durable' }, 'give-up');
          return;
        }
        opened.unlock();
        this.#moved(request, { ino: request.ino, to: 'archived', ctimeNs });
        this.#context.restored(request, opened.item.size);
      },
    });
  }

  /** Nothing was written, and what is there may be somebody's data: it is not touched. */
  #leave({ request, unlock }: Opened, failure: RecallFailure): void {
    unlock();
    this.#context.failed(request, failure, 'give-up');
  }

  #undo(opened: Opened, failure: RecallFailure, next: 'other-copy' | 'give-up'): void {
    const { request, item } = opened;
    request.done = 0;
    const undone = native.undoRestore(item).then(
      () => this.#moved(request, { ino: request.ino, to: 'stub' }),
      () => undefined, // it stays a stub by its record, only its blocks are not free yet
    );
    this.#work.push(
      undone.then(() => {
        opened.unlock();
        this.#context.failed(request, failure, next);
      }),
    );
  }

  #moved(request: RecallRequest, move: NewFileState): void {
    const id = this.#context.filesystems[request.filesystem]?.id;
    if (!request.inCatalogue || id === undefined) return;
    this.#context.moves.add(id, move);
  }
}

const failures: Readonly<Record<number, RecallFailure>> = {
  [extractStatus.badHash]: { code: 'EIO', message: 'the data on tape does not have the hash that was recorded' },
  [extractStatus.wrongMember]: { code: 'EIO', message: 'another member is at this place on the volume' },
  [extractStatus.recordChanged]: { code: 'EAGAIN', message: 'the file changed while it was queued' },
  [extractStatus.truncated]: { code: 'EIO', message: 'the container ends before the file does' },
};

const failureOf = (status: number): RecallFailure =>
  failures[status] ?? { code: errnoName(status), message: `the file could not be written: ${errnoName(status)}` };
