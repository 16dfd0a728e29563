/** The recall engine: stub events and jobs become requests, one per inode; requests are restored volume by volume; waiters are answered. */
import { closeSync } from 'node:fs';
import type { Catalog, CopyRow } from '../catalog/model.ts';
import { errorCode } from '../errors.ts';
import type { Medium } from '../media/medium.ts';
import { native } from '../native/index.ts';
import { decodeStubRecord, encodeStubRecord, stubXattr } from '../stub.ts';
import { classify, readInode } from './classify.ts';
import { Committer } from './committer.ts';
import { denialErrnos, type DenialErrno, type Keeper, type StubEvent } from './keeper-client.ts';
import { MoveBatch } from './move-batch.ts';
import { isWanted, requestKey, type JobInterest, type RecallFailure, type RecallRequest } from './requests.ts';
import { batchFiles, restoreContainer, type ManagedFilesystem, type RestoreContext } from './restorer.ts';
import { VolumeQueue } from './volume-queue.ts';

export interface Log {
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

/** What the engine needs of the drives. */
export interface RecallDrives {
  /** Runs `use` with the volume loaded in a drive that nobody else uses meanwhile. Interactive callers go first. */
  withVolume<T>(
    barcode: string,
    purpose: 'read',
    priority: 'interactive' | 'bulk',
    use: (medium: Medium) => Promise<T>,
    options?: { readonly signal?: AbortSignal; readonly patient?: boolean },
  ): Promise<T>;
  /** Somebody of a better priority waits for a drive. */
  contended(priority: 'interactive' | 'bulk'): boolean;
  /** Volumes that sit in drives: nothing is gained by waiting for company. */
  readonly loaded: readonly string[];
}

export interface RecallerOptions {
  readonly keeper: Keeper;
  readonly catalog: Pick<Catalog, 'object' | 'objects' | 'filesByInode' | 'moveFiles' | 'logEvent' | 'addRecallRequest' | 'endRecallRequests'>;
  readonly drives: RecallDrives;
  readonly filesystems: readonly ManagedFilesystem[];
  readonly groupFd: number;
  readonly batchWindowMs: number;
  /** Seconds after which waiters are sent away with EAGAIN; 0: never. */
  readonly timeoutS: number;
  readonly log: Log;
}

/** One line of `hsm queue --json`. */
export interface QueueRow {
  readonly id: string;
  readonly path: string;
  readonly state: string;
  readonly volume: string | null;
  readonly container: number | null;
  readonly size: number;
  readonly done: number;
  /** 1 is next on its volume; null while it is being restored or has failed. */
  readonly position: number | null;
  /** Seconds, when there is a measured rate to tell from. */
  readonly eta: number | null;
  /** Seconds since it was asked for. */
  readonly age: number;
  readonly priority: number;
  readonly reason: string | null;
  readonly waiters: readonly { readonly pid: number; readonly uid: number; readonly exe: string }[];
}

/** A file that a job wants back. */
export interface Wanted {
  /** Index in the configuration's filesystems. */
  readonly filesystem: number;
  readonly ino: number;
  /** The record's 64 bytes. */
  readonly bytes: Buffer;
  readonly path: string;
  readonly interest: JobInterest;
}

const interactivePriority = 100;
const jobPriority = 50;
const failedKept = 100;
const failedKeptMs = 600_000;

export class Recaller {
  readonly #options: RecallerOptions;
  readonly #byKey = new Map<string, RecallRequest>();
  readonly #byEvent = new Map<number, RecallRequest>();
  readonly #volumes = new Map<string, VolumeQueue>();
  readonly #failed: { readonly row: QueueRow; readonly at: number }[] = [];
  readonly #committer: Committer;
  readonly #moves: MoveBatch;
  readonly #context: RestoreContext;
  readonly #running = new Set<Promise<void>>();
  #nextId = 1;
  #stopping = false;
  /** Bytes and seconds of recent restores, for ETAs. */
  #rate = { bytes: 0, seconds: 0 };

  constructor(options: RecallerOptions) {
    this.#options = options;
    this.#committer = new Committer(options.groupFd);
    this.#moves = new MoveBatch(options.catalog, (error) => options.log.error({ error }, 'a state move was not recorded'));
    this.#context = {
      filesystems: options.filesystems,
      catalog: options.catalog,
      committer: this.#committer,
      moves: this.#moves,
      restored: (request, bytes) => this.#restored(request, bytes),
      failed: (request, failure, next) => this.#attemptFailed(request, failure, next),
    };
  }

  /** A reader waits for an answer to this event, and always gets one. Takes the event's fd over. */
  onStub(event: StubEvent): void {
    try {
      this.#admit(event);
    } catch (error) {
      this.#options.log.error({ error, pid: event.pid }, 'an event could not be looked at');
      closeSync(event.fd);
      this.#options.keeper.answer([event.id], 'EIO');
    }
  }

  /** The waiter died. A request that nobody wants any more ends. */
  onGone(id: number): void {
    const request = this.#byEvent.get(id);
    if (request === undefined) return;
    this.#byEvent.delete(id);
    request.waiters.delete(id);
    if (!isWanted(request)) this.#cancelRequest(request, { code: 'EAGAIN', message: 'its last waiter ended' });
  }

  /** Files that a job wants, a batch at a time; each one's interest is told how it ended. */
  async want(batch: readonly Wanted[]): Promise<void> {
    const fresh: RecallRequest[] = [];
    for (const { filesystem, ino, bytes, path, interest } of batch) {
      const record = decodeStubRecord(bytes);
      if (record === null || this.#stopping) {
        interest.ended(record === null ? { code: 'EIO', message: 'its record is damaged' } : stopping, 0);
        continue;
      }
      const key = requestKey(filesystem, ino, record.handleHash);
      const present = this.#byKey.get(key);
      if (present?.cancelled === null) {
        present.interests = [...present.interests, interest];
        continue;
      }
      if (present !== undefined) {
        interest.ended({ code: 'EAGAIN', message: 'a cancelled recall of it is being undone' }, 0);
        continue;
      }
      const request = this.#create(key, filesystem, ino, path, bytes, record, 'job');
      request.interests = [interest];
      fresh.push(request);
    }
    await this.#resolve(fresh);
  }

  /** Requests in the order in which they will be served, those that failed lately last. `uid` limits it to that user's own. */
  rows(uid: number | null): QueueRow[] {
    const rows: QueueRow[] = [];
    const listed = new Set<RecallRequest>();
    for (const [volume, queue] of this.#volumes) {
      let position = 0;
      let ahead = 0;
      for (const request of queue.inOrder()) {
        listed.add(request);
        const queued = request.state === 'queued' || request.state === 'loading';
        if (queued) position += 1;
        // Until a drive is up nobody can tell.
        ahead += queue.patient ? Infinity : request.record.size - request.done;
        rows.push(this.#row(request, volume, queued ? position : null, ahead));
      }
    }
    for (const request of this.#byKey.values()) if (!listed.has(request)) rows.unshift(this.#row(request, null, null, request.record.size - request.done));
    const since = Date.now() - failedKeptMs;
    for (const { row, at } of this.#failed) if (at >= since) rows.push(row);
    return uid === null ? rows : rows.filter((row) => row.waiters.some((waiter) => waiter.uid === uid));
  }

  counts(): { readonly queued: number; readonly active: number; readonly failed: number } {
    let active = 0;
    for (const request of this.#byKey.values()) if (request.state === 'restoring' || request.state === 'locating') active += 1;
    const since = Date.now() - failedKeptMs;
    return { queued: this.#byKey.size - active, active, failed: this.#failed.filter(({ at }) => at >= since).length };
  }

  /** Sends the waiters of `r<id>` away with an errno. False when there is no such request, or (with a uid) it is another user's. */
  cancel(id: number, errno: DenialErrno, uid: number | null): boolean {
    for (const request of this.#byKey.values()) {
      if (request.id !== id) continue;
      if (uid !== null && ![...request.waiters.values()].some((waiter) => waiter.uid === uid)) return false;
      this.#cancelRequest(request, { code: errno, message: 'cancelled' });
      return true;
    }
    return false;
  }

  /** Ends a job's interest in all its files; those that others wait for go on. */
  dropJob(job: number): void {
    for (const request of this.#byKey.values()) {
      const dropped = request.interests.filter((interest) => interest.job === job);
      if (dropped.length === 0) continue;
      if (request.waiters.size === 0 && dropped.length === request.interests.length) {
        // Its end tells the job: what the restorer had all but done is done.
        this.#cancelRequest(request, jobCancelled);
        continue;
      }
      request.interests = request.interests.filter((interest) => interest.job !== job);
      for (const interest of dropped) interest.ended(jobCancelled, 0);
    }
  }

  /** The catalogue then says of every file what its last reader saw. */
  async settle(): Promise<void> {
    await this.#moves.flush();
  }

  /** Undoes what is being restored, sends everybody away with EAGAIN, and resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const request of [...this.#byKey.values()]) this.#cancelRequest(request, stopping);
    for (const waiting of this.#leaving) waiting.abort();
    await Promise.allSettled(this.#running);
    await this.#committer.idle();
    await this.#moves.flush();
  }

  #admit(event: StubEvent): void {
    const { keeper, log } = this.#options;
    if (this.#stopping) {
      closeSync(event.fd);
      keeper.answer([event.id], 'EAGAIN');
      return;
    }
    const inode = readInode(event.fd);
    const verdict = classify(inode);
    if (verdict.kind === 'resident') {
      if (inode.bytes === null && inode.stat.size > 0 && inode.range.data === -1) {
        void this.#lookUp(event);
        return;
      }
      if (verdict.dropRecord) {
        native.removexattr(event.fd, stubXattr);
        log.info({ path: event.path, reason: verdict.reason }, 'dropped a record that meant nothing');
      }
      closeSync(event.fd);
      keeper.answer([event.id], null);
      return;
    }
    const filesystem = event.filesystem;
    if (verdict.kind === 'refuse' || this.#options.filesystems[filesystem] === undefined) {
      const errno = verdict.kind === 'refuse' ? verdict.errno : 'EIO';
      const reason = verdict.kind === 'refuse' ? verdict.reason : 'it is on no managed filesystem';
      log.warn({ path: event.path, pid: event.pid, reason }, 'access refused');
      closeSync(event.fd);
      keeper.answer([event.id], errno);
      return;
    }
    const key = requestKey(filesystem, inode.stat.ino, inode.handleHash);
    const waiter = { event: event.id, pid: event.pid, uid: event.uid, exe: event.exe };
    const present = this.#byKey.get(key);
    if (present !== undefined && present.cancelled === null) {
      present.waiters.set(event.id, waiter);
      present.priority = interactivePriority;
      this.#volumes.get(present.copies[0]?.volume ?? '')?.waiting?.abort();
      this.#byEvent.set(event.id, present);
      if (present.fd === null && present.state === 'queued') present.fd = event.fd;
      else closeSync(event.fd);
      return;
    }
    if (present !== undefined) {
      // It is being undone; the reader may try again at once.
      closeSync(event.fd);
      keeper.answer([event.id], 'EAGAIN');
      return;
    }
    const request = this.#create(key, filesystem, inode.stat.ino, event.path, verdict.bytes, verdict.record, 'interactive');
    request.fd = event.fd;
    request.waiters.set(event.id, waiter);
    this.#byEvent.set(event.id, request);
    void this.#resolve([request]);
  }

  /** A hollow file without a record: a sparse file of its owner's, or a stub that somebody took the record from. The catalogue tells. */
  async #lookUp(event: StubEvent): Promise<void> {
    const { catalog, filesystems, keeper, log } = this.#options;
    try {
      await this.#moves.flush();
      const { ino } = native.statx(event.fd, '');
      const id = filesystems[event.filesystem]?.id;
      const [row] = id === undefined ? [] : await catalog.filesByInode(id, [ino]);
      const object = row === undefined ? undefined : await catalog.object(row.object);
      // Another reader of it may have come this way meanwhile.
      const inode = readInode(event.fd);
      const isHollow = inode.bytes === null && inode.range.data === -1;
      const copy = object?.copies[0];
      const wasStub = (row?.state === 'stub' || row?.state === 'recalling') && row.handleHash === inode.handleHash && row.size === inode.stat.size && row.mtimeNs === inode.stat.mtimeNs;
      if (isHollow && wasStub && copy !== undefined) {
        const { size, mtimeNs, handleHash } = row;
        native.setxattr(event.fd, stubXattr, encodeStubRecord({ flags: 0, volume: copy.volume, container: copy.container, offset: copy.offset, object: row.object, size, mtimeNs, handleHash }));
        log.warn({ path: event.path }, 'a stub had lost its record: written again');
      }
      if (isHollow && wasStub && copy === undefined) throw new Error('it was a stub, and no copy of its object is known');
      if ((isHollow && wasStub) || inode.bytes !== null) {
        this.onStub(event);
        return;
      }
      closeSync(event.fd);
      keeper.answer([event.id], null);
    } catch (error) {
      log.error({ error, path: event.path }, 'a hollow file could not be looked up');
      closeSync(event.fd);
      keeper.answer([event.id], 'EIO');
    }
  }

  #create(
    key: string,
    filesystem: number,
    ino: number,
    path: string,
    bytes: Buffer,
    record: RecallRequest['record'],
    kind: 'interactive' | 'job',
  ): RecallRequest {
    const request: RecallRequest = {
      id: this.#nextId++,
      key,
      filesystem,
      ino,
      path,
      createdAt: Date.now(),
      record,
      bytes,
      waiters: new Map(),
      interests: [],
      fd: null,
      state: 'queued',
      inCatalogue: false,
      object: null,
      copies: [],
      done: 0,
      cancelled: null,
      priority: kind === 'interactive' ? interactivePriority : jobPriority,
      reason: null,
    };
    this.#byKey.set(key, request);
    if (kind === 'interactive' && this.#options.timeoutS > 0) {
      setTimeout(() => {
        if (this.#byKey.get(key) === request) this.#cancelRequest(request, { code: 'EAGAIN', message: 'the configured time is over' });
      }, this.#options.timeoutS * 1000).unref();
    }
    return request;
  }

  /** Finds objects and copies, and queues each request on the volume of its first usable copy. */
  async #resolve(requests: readonly RecallRequest[]): Promise<void> {
    if (requests.length === 0) return;
    let objects;
    try {
      objects = await this.#options.catalog.objects(requests.map(({ record }) => record.object));
    } catch (error) {
      for (const request of requests) this.#end(request, { code: 'EIO', message: `the catalogue: ${(error as Error).message}` });
      return;
    }
    requests.forEach((request, index) => {
      const object = objects[index];
      if (request.cancelled !== null) this.#end(request, request.cancelled);
      else if (object === undefined) this.#end(request, { code: 'EIO', message: 'the catalogue does not know its object' });
      else if (object.size !== request.record.size) this.#end(request, { code: 'EIO', message: 'its object has another size' });
      else {
        request.object = object;
        request.copies = object.copies.filter(usable);
        this.#queue(request, { code: 'EIO', message: unusable(object.copies) });
      }
    });
  }

  #queue(request: RecallRequest, otherwise: RecallFailure): void {
    const copy = request.copies[0];
    if (copy === undefined) {
      this.#end(request, otherwise);
      return;
    }
    request.state = 'queued';
    let queue = this.#volumes.get(copy.volume);
    if (queue === undefined) {
      queue = new VolumeQueue();
      this.#volumes.set(copy.volume, queue);
    }
    queue.add(request);
    if (request.waiters.size > 0 || queue.patient) queue.waiting?.abort();
    if (queue.running) return;
    queue.running = true;
    const run = this.#serve(copy.volume, queue);
    this.#running.add(run);
    void run.finally(() => this.#running.delete(run));
  }

  /** Serves one volume until nothing is queued on it. */
  async #serve(barcode: string, queue: VolumeQueue): Promise<void> {
    const { drives, batchWindowMs } = this.#options;
    if (!drives.loaded.includes(barcode) && batchWindowMs > 0) await new Promise((resolve) => setTimeout(resolve, batchWindowMs));
    while (queue.size > 0 && !this.#stopping) await this.#mount(barcode, queue);
    queue.running = false;
    for (const request of queue.inOrder()) this.#end(request, stopping);
    this.#volumes.delete(barcode);
  }

  /** One use of a drive: ends when nothing is queued, or when somebody more urgent waits for a drive. */
  async #mount(barcode: string, queue: VolumeQueue): Promise<void> {
    const { drives, log } = this.#options;
    const { patient } = queue;
    const priority = queue.hasWaiters() ? 'interactive' : 'bulk';
    const waiting = new AbortController();
    if (priority === 'bulk' || patient) queue.waiting = waiting;
    this.#leaving.add(waiting);
    if (!patient) for (const request of queue.inOrder()) request.state = 'loading';
    try {
      await drives.withVolume(barcode, 'read', priority, (medium) => this.#read(barcode, queue, medium, priority), { signal: waiting.signal, patient });
    } catch (error) {
      if (waiting.signal.aborted) return;
      if (!patient && isDriveDown(error)) {
        this.#holdBack(queue, error as Error);
        return;
      }
      log.error({ error, volume: barcode }, 'a volume could not be read');
      const failure = { code: 'EIO', message: `volume ${barcode}: ${(error as Error).message}` };
      for (const request of queue.inOrder()) {
        queue.delete(request);
        this.#attemptFailed(request, failure, 'other-copy');
      }
    } finally {
      if (patient) queue.patient = false;
      queue.waiting = null;
      this.#leaving.delete(waiting);
    }
  }

  /** What has a copy on another volume is had from there; the rest waits for a drive, as long as that takes. */
  #holdBack(queue: VolumeQueue, { message }: Error): void {
    queue.patient = true;
    for (const request of queue.inOrder()) {
      if (request.copies.length > 1) {
        queue.delete(request);
        this.#attemptFailed(request, { code: 'EIO', message }, 'other-copy');
      } else {
        request.state = 'queued';
        request.reason = message;
      }
    }
  }

  async #read(barcode: string, queue: VolumeQueue, medium: Medium, priority: 'interactive' | 'bulk'): Promise<void> {
    queue.waiting = null;
    if (queue.patient) for (const request of queue.inOrder()) request.reason = null;
    queue.patient = false;
    while (!this.#stopping && !(priority === 'bulk' && this.#options.drives.contended(priority))) {
      const batch = queue.take(batchFiles);
      if (batch.length === 0) return;
      for (const request of batch) this.#active.set(request, barcode);
      const startedAt = performance.now();
      await restoreContainer(medium, batch, this.#context);
      this.#rate.seconds += (performance.now() - startedAt) / 1000;
    }
  }

  /** Waits for drives that a stop ends. */
  readonly #leaving = new Set<AbortController>();
  readonly #active = new Map<RecallRequest, string>();

  #restored(request: RecallRequest, bytes: number): void {
    this.#rate.bytes += bytes;
    this.#end(request, null);
  }

  #attemptFailed(request: RecallRequest, failure: RecallFailure, next: 'other-copy' | 'give-up'): void {
    this.#active.delete(request);
    const copy = request.copies[0];
    if (next === 'give-up' || request.cancelled !== null || this.#stopping) {
      this.#end(request, request.cancelled ?? (this.#stopping ? stopping : failure));
      return;
    }
    request.reason = `${copy?.volume ?? ''}: ${failure.message}`;
    this.#options.log.warn({ path: request.path, volume: copy?.volume, reason: failure.message }, 'a copy could not be restored');
    request.copies = request.copies.slice(1);
    this.#queue(request, failure);
  }

  #cancelRequest(request: RecallRequest, failure: RecallFailure): void {
    if (request.cancelled !== null) return;
    request.cancelled = failure;
    if (this.#active.has(request)) return; // the restorer sees it at its next block
    for (const queue of this.#volumes.values()) queue.delete(request);
    if (request.object !== null) this.#end(request, failure);
  }

  /** The one place where a request ends: fd closed, waiters answered, job told. */
  #end(request: RecallRequest, failure: RecallFailure | null): void {
    if (this.#byKey.get(request.key) !== request) return;
    this.#byKey.delete(request.key);
    this.#active.delete(request);
    for (const queue of this.#volumes.values()) queue.delete(request);
    if (failure !== null && failure !== jobCancelled && isWanted(request)) this.#remember(request, failure);
    if (request.fd !== null) closeSync(request.fd);
    const events = [...request.waiters.keys()];
    for (const event of events) this.#byEvent.delete(event);
    if (events.length > 0) this.#options.keeper.answer(events, failure === null ? null : denialOf(failure.code));
    // A further name of the same inode brings no further bytes.
    request.interests.forEach((interest, index) => interest.ended(failure, index === 0 ? request.record.size : 0));
  }

  #remember(request: RecallRequest, failure: RecallFailure): void {
    const { catalog, filesystems, log } = this.#options;
    const row = { ...this.#row(request, request.copies[0]?.volume ?? null, null, 0), state: 'failed', done: 0, eta: null, reason: failure.message };
    this.#failed.push({ row, at: Date.now() });
    if (this.#failed.length > failedKept) this.#failed.shift();
    if (failure === stopping) return;
    log.warn({ path: request.path, code: failure.code, reason: failure.message, waiters: request.waiters.size }, 'a recall failed');
    const filesystem = filesystems[request.filesystem]?.id;
    if (filesystem === undefined || request.waiters.size === 0) return;
    const kept = { filesystem, ino: request.ino, path: request.path, job: request.interests[0]?.job ?? null, priority: request.priority };
    catalog
      .addRecallRequest(kept)
      .then((id) => catalog.endRecallRequests([id], 'failed', failure.message))
      .catch((error: unknown) => log.error({ error }, 'a failed recall was not recorded'));
  }

  #row(request: RecallRequest, volume: string | null, position: number | null, bytesAhead: number): QueueRow {
    const copy = request.copies[0];
    const { bytes, seconds } = this.#rate;
    return {
      id: `r${request.id}`,
      path: request.path,
      state: request.state,
      volume: volume ?? copy?.volume ?? request.record.volume,
      container: copy?.container ?? request.record.container,
      size: request.record.size,
      done: request.done,
      position,
      eta: bytes > 0 && seconds > 0 && bytesAhead < Infinity ? Math.ceil(Math.max(bytesAhead, request.record.size - request.done) / (bytes / seconds)) : null,
      age: Math.floor((Date.now() - request.createdAt) / 1000),
      priority: request.priority,
      reason: request.reason,
      waiters: [...request.waiters.values()].map(({ pid, uid, exe }) => ({ pid, uid, exe })),
    };
  }
}

const jobCancelled: RecallFailure = { code: 'EINTR', message: 'the job was cancelled' };
const stopping: RecallFailure = { code: 'EAGAIN', message: 'the daemon stops' };

/** An operator took the drives away: no fault of the volume. */
const isDriveDown = (error: unknown): boolean => ['NO_DRIVE', 'DRIVE_DOWN'].includes(errorCode(error));

const usable = (copy: CopyRow): boolean => copy.volumeState !== 'failed' && copy.volumeState !== 'exported';

function unusable(copies: readonly CopyRow[]): string {
  const volumes = [...new Set(copies.map(({ volume, volumeState }) => `${volume} (${volumeState})`))];
  return volumes.length === 0 ? 'no copy of it is recorded' : `no usable copy: ${volumes.join(', ')}`;
}

/** The errno that waiters see. */
function denialOf(code: string): DenialErrno {
  return denialErrnos.find((errno) => errno === code) ?? 'EIO';
}
