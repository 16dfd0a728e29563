/** The recall engine: stub events and jobs become requests, one per inode; requests are restored volume by volume; waiters are answered. */
import { closeSync } from 'node:fs';
import type { Catalog, CopyRow } from '../catalog/model.ts';
import { errorCode } from '../errors.ts';
import type { Medium } from '../media/medium.ts';
import { native } from '../native/index.ts';
import { decodeStubRecord, stubXattr } from '../stub.ts';
import { classify, readInode } from './classify.ts';
import { Committer } from './committer.ts';
import { denialErrnos, type DenialErrno, type Keeper, type StubEvent } from './keeper-client.ts';
import { findLostRecord } from './lost-record.ts';
import { MoveBatch } from './move-batch.ts';
import { FailedRows, type QueueRow, RestoreRate, rowOf } from './queue-rows.ts';
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

export class Recaller {
  readonly #options: RecallerOptions;
  readonly #byKey = new Map<string, RecallRequest>();
  readonly #byEvent = new Map<number, RecallRequest>();
  readonly #volumes = new Map<string, VolumeQueue>();
  readonly #failed = new FailedRows();
  readonly #committer: Committer;
  readonly #moves: MoveBatch;
  readonly #context: RestoreContext;
  readonly #running = new Set<Promise<void>>();
  #restoredFiles = 0;
  #restoredBytes = 0;
  #nextId = 1;
  #stopping = false;
  readonly #rate = new RestoreRate();

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
        rows.push(rowOf(request, volume, queued ? position : null, ahead, this.#rate));
      }
    }
    for (const request of this.#byKey.values()) if (!listed.has(request)) rows.unshift(rowOf(request, null, null, request.record.size - request.done, this.#rate));
    rows.push(...this.#failed.rows);
    return uid === null ? rows : rows.filter((row) => row.waiters.some((waiter) => waiter.uid === uid));
  }

  /** Paths of what is wanted on a filesystem of the configuration, by readers or jobs. */
  wantedOn(filesystem: number): string[] {
    return [...this.#byKey.values()].flatMap((request) => (request.filesystem === filesystem ? [request.path] : []));
  }

  /** `files` and `bytes`: brought back since the start. */
  counts(): { readonly queued: number; readonly active: number; readonly failed: number; readonly files: number; readonly bytes: number } {
    let active = 0;
    for (const request of this.#byKey.values()) if (request.state === 'restoring' || request.state === 'locating') active += 1;
    return { queued: this.#byKey.size - active, active, failed: this.#failed.rows.length, files: this.#restoredFiles, bytes: this.#restoredBytes };
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

  /** Of a hollow file without a record the catalogue tells whether it is a stub. */
  async #lookUp(event: StubEvent): Promise<void> {
    const { catalog, filesystems, keeper, log } = this.#options;
    try {
      await this.#moves.flush();
      const { isStub, rewritten } = await findLostRecord(event.fd, filesystems[event.filesystem]?.id, catalog);
      if (rewritten) log.warn({ path: event.path }, 'a stub had lost its record: written again');
      if (isStub) {
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
    this.#restoredFiles += 1;
    this.#restoredBytes += bytes;
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
    const row = rowOf(request, request.copies[0]?.volume ?? null, null, 0, this.#rate);
    this.#failed.add({ ...row, state: 'failed', done: 0, eta: null, reason: failure.message });
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
