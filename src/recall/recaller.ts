/** The recall engine: stub events and jobs become requests, one per inode; requests are restored volume by volume; waiters are answered. */
import { closeSync } from 'node:fs';
import type { CopyRow } from '../catalog/model.ts';
import { decodeStubRecord } from '../stub.ts';
import { admissionOf, isStubWithoutRecord, type Admission } from './admission.ts';
import { Behind } from './behind.ts';
import { Committer } from './committer.ts';
import { unusable, usable } from './copies.ts';
import { Failures } from './failures.ts';
import { Gate, isPausedKey, isSpaceKey, spaceKey, type Passage } from './gate.ts';
import { denialErrnos, type DenialErrno, type StubEvent } from './keeper-client.ts';
import type { Storm } from './limits/storms.ts';
import { MoveBatch } from './move-batch.ts';
import { Parking } from './parking.ts';
import { dropped, Prefetcher } from './prefetch.ts';
import { type QueueDepths, queueDepths } from './queue-depths.ts';
import { type QueueRow, queueRows } from './queue-rows.ts';
import type { RecallerOptions, Wanted } from './recaller-options.ts';
import { isWanted, priorities, requestKey, type RecallFailure, type RecallRequest, type Waiter } from './requests.ts';
import { wantedAgain } from './retry.ts';
import type { Pause, PauseRow } from './scheduler/pauses.ts';
import { VolumeService } from './volume-service.ts';

/** How often requests that wait for room or for the next hour are looked at. */
const lookAgainMs = 2000;
/** So many that still have to wait are looked at, at each key. */
const mostMisses = 64;

export interface RecallCounts {
  readonly queued: number;
  readonly active: number;
  readonly failed: number;
  /** Held back by limits, pauses or for want of room; among `queued`. */
  readonly waiting: number;
  /** Brought back since the start. */
  readonly files: number;
  readonly bytes: number;
  readonly storms: readonly Storm[];
  /** How many were refused since the start, by rule. */
  readonly refused: Readonly<Record<string, number>>;
}

export class Recaller {
  readonly #options: RecallerOptions;
  readonly #byKey = new Map<string, RecallRequest>();
  readonly #byId = new Map<number, RecallRequest>();
  readonly #byEvent = new Map<number, RecallRequest>();
  /** Recalled ahead of readers, the last one wanted last. */
  readonly #ahead = new Set<RecallRequest>();
  readonly #behind = new Behind();
  readonly #service: VolumeService;
  /** Volumes on the shelf that an operator was asked for. */
  readonly #asked = new Set<string>();
  readonly #parking = new Parking();
  readonly #gate: Gate;
  readonly #failures: Failures;
  readonly #prefetcher: Prefetcher;
  readonly #committer: Committer;
  readonly #moves: MoveBatch;
  #nextId = 1;
  #stopping = false;
  /** Of the parking: to be looked at when this turn of the event loop is over. */
  readonly #woken = new Set<string>();
  readonly #lookAgain: NodeJS.Timeout;
  /** Brought back since the start. */
  #files = 0;
  #bytes = 0;

  constructor(options: RecallerOptions) {
    this.#options = options;
    this.#failures = new Failures(options);
    this.#prefetcher = new Prefetcher({
      ...options,
      files: options.prefetchFiles,
      want: (batch) => this.want(batch),
      drop: (uid, volume) => this.#dropAhead(({ ahead, copies }) => ahead?.uid === uid && copies[0]?.volume === volume),
      now: Date.now,
    });
    this.#committer = new Committer(options.groupFd);
    this.#moves = new MoveBatch(options.catalog, (error) => options.log.error({ error }, 'a state move was not recorded'));
    this.#service = new VolumeService({
      drives: options.drives,
      settings: options.scheduler,
      modelOf: options.modelOf ?? (() => null),
      geometryOf: options.geometryOf ?? (async () => null),
      log: options.log,
      context: {
        filesystems: options.filesystems,
        catalog: options.catalog,
        committer: this.#committer,
        moves: this.#moves,
        restored: (request, bytes) => this.#restored(request, bytes),
        failed: (request, failure, next) => this.#attemptFailed(request, failure, next),
      },
    });
    this.#gate = new Gate(options.gate, options.filesystems, this.#service.scheduler.pauses, {
      storm: (storm, begun) => this.#tellStorm(storm, begun),
      room: (keys) => this.#wakeSoon(keys),
    });
    this.#lookAgain = setInterval(() => this.#wake(this.#parking.keys, true), lookAgainMs).unref();
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
    if (request === undefined) {
      this.#behind.gone(id);
      return;
    }
    this.#byEvent.delete(id);
    const gone = request.waiters.get(id);
    request.waiters.delete(id);
    if (gone !== undefined) this.#prefetcher.ended(gone.uid, request.copies[0]?.volume ?? '');
    if (request.waiters.size === 0) this.#prioritize(request, priorities.bulk, `j${request.interests[0]?.job ?? 0}`);
    if (isWanted(request)) this.#judgeAgain(request);
    else this.#cancelRequest(request, { code: 'EAGAIN', message: 'its last waiter ended' });
  }

  /** Files that a job wants or that are recalled ahead, a batch at a time; each one's interest is told how it ended. */
  async want(batch: readonly Wanted[]): Promise<void> {
    const fresh: RecallRequest[] = [];
    for (const { filesystem, ino, bytes, path, interest, ahead } of batch) {
      const record = decodeStubRecord(bytes);
      if (record === null || this.#stopping) {
        interest.ended(record === null ? { code: 'EIO', message: 'its record is damaged' } : stopping, 0);
        continue;
      }
      const key = requestKey(filesystem, ino, record.handleHash);
      const present = this.#byKey.get(key);
      if (ahead !== null && present !== undefined) {
        // It is on its way already.
        interest.ended(null, 0);
        continue;
      }
      if (present?.cancelled === null) {
        this.#askedFor(present);
        present.interests = [...present.interests, interest];
        this.#judgeAgain(present);
        continue;
      }
      if (present !== undefined) {
        interest.ended({ code: 'EAGAIN', message: 'a cancelled recall of it is being undone' }, 0);
        continue;
      }
      const request = this.#create({ key, filesystem, ino, path, bytes, record, priority: priorities.bulk, owner: ahead === null ? `j${interest.job}` : `u${ahead.uid}` });
      request.interests = [interest];
      request.ahead = ahead;
      if (ahead !== null) this.#ahead.add(request);
      fresh.push(request);
    }
    await this.#resolve(fresh);
  }

  /** Requests in the order in which they will be served, those that failed lately last. `uid` limits it to that user's own, and to whom of them waits. */
  rows(uid: number | null): QueueRow[] {
    const rows = [...queueRows(this.#byKey.values(), this.#service, this.#parking), ...this.#failures.rows];
    if (uid === null) return rows;
    return rows.map((row) => ({ ...row, waiters: row.waiters.filter((waiter) => waiter.uid === uid) })).filter(({ waiters }) => waiters.length > 0);
  }

  /** What is queued by volume: cheap, however long the queue is. */
  depths(): QueueDepths {
    return queueDepths(this.#byKey.values(), [...this.#parking.of(shelfKey)].length);
  }

  /** Paths of what is wanted on a filesystem of the configuration, by readers or jobs. */
  wantedOn(filesystem: number): string[] {
    return [...this.#byKey.values()].flatMap((request) => (request.filesystem === filesystem ? [request.path] : []));
  }

  counts(): RecallCounts {
    return { ...this.#tally(), waiting: this.#parking.size, storms: this.#gate.storms, refused: this.#gate.refused };
  }

  #tally(): { readonly queued: number; readonly active: number; readonly failed: number; readonly files: number; readonly bytes: number } {
    let active = 0;
    for (const request of this.#byKey.values()) if (request.state === 'restoring' || request.state === 'locating') active += 1;
    return { queued: this.#byKey.size - active, active, failed: this.#failures.rows.length, files: this.#files, bytes: this.#bytes };
  }

  /** Sends the waiters of `r<id>` away with an errno; with a uid only that user's: others go on waiting. False when there is no such request or waiter. */
  cancel(id: number, errno: DenialErrno, uid: number | null): boolean {
    const request = this.#byId.get(id);
    if (request === undefined) return false;
    const his = [...request.waiters.values()].filter((waiter) => uid === null || waiter.uid === uid);
    if (uid !== null && his.length === 0) return false;
    if (uid === null || (his.length === request.waiters.size && request.interests.length === 0)) {
      this.#cancelRequest(request, { code: errno, message: 'cancelled' });
      return true;
    }
    const events = his.map(({ event }) => event);
    this.#options.keeper.answer(events, errno);
    for (const event of events) this.onGone(event);
    return true;
  }

  /** The same for every request: of one volume, of one user; null: of any. How many there were. */
  cancelAll(errno: DenialErrno, { uid, volume }: { readonly uid: number | null; readonly volume: string | null }): number {
    const isOn = ({ copies, record }: RecallRequest): boolean => volume === null || (copies[0]?.volume ?? record.volume) === volume;
    this.#dropAhead((request) => isOn(request) && (uid === null || request.ahead?.uid === uid));
    return [...this.#byKey.values()].filter((request) => request.cancelled === null && isOn(request) && this.cancel(request.id, errno, uid)).length;
  }

  /** Of `r<id>`; higher goes first, `priorities` are what requests begin with. False when there is no such request. */
  setPriority(id: number, priority: number): boolean {
    const request = this.#byId.get(id);
    if (request === undefined) return false;
    request.priorityPinned = true;
    request.priority = priority;
    this.#service.moved(request);
    return true;
  }

  /** What it covers waits until resume(); what is being read goes on to the end of its container, and nobody is sent away. */
  pause(pause: Pause, reason: string | null, since = Date.now()): void {
    this.#service.scheduler.pauses.set(pause, reason, since);
    if (pause.kind === 'user') this.#lookAgainAt(pause.uid);
    if (pause.kind === 'drive') this.#service.reconsiderDrives();
    else this.#service.dispatch();
  }

  /** False when there was no such pause. */
  resume(pause: Pause): boolean {
    if (!this.#service.scheduler.pauses.clear(pause)) return false;
    if (pause.kind === 'user') this.#lookAgainAt(pause.uid);
    if (pause.kind === 'drive') this.#service.reconsiderDrives();
    else this.#service.dispatch();
    return true;
  }

  /** At what is queued and this user waits for. */
  #lookAgainAt(uid: number): void {
    for (const request of [...this.#byKey.values()]) {
      if (request.object === null || this.#service.isActive(request)) continue;
      if (request.ahead?.uid === uid || [...request.waiters.values()].some((waiter) => waiter.uid === uid)) this.#requeue(request);
    }
  }

  /** What is paused or held, for people. */
  get pauses(): PauseRow[] {
    return this.#service.scheduler.pauses.rows;
  }

  /** Recalls a file again whose recall failed as `r<id>` in the last minutes. False when that is not known; fails where there is no such stub any more. */
  async retry(id: number): Promise<boolean> {
    const wanted = wantedAgain(this.#failures, id, this.#options.filesystems);
    if (wanted === null) return false;
    await this.want([wanted]);
    return true;
  }

  /** Ends a job's interest in all its files; those that others wait for go on. */
  dropJob(job: number): void {
    for (const request of this.#byKey.values()) {
      const its = request.interests.filter((interest) => interest.job === job);
      if (its.length === 0) continue;
      if (request.waiters.size === 0 && its.length === request.interests.length) {
        // Its end tells the job: what the restorer had all but done is done.
        this.#cancelRequest(request, jobCancelled);
        continue;
      }
      request.interests = request.interests.filter((interest) => interest.job !== job);
      for (const interest of its) interest.ended(jobCancelled, 0);
      this.#judgeAgain(request);
    }
  }

  /** Whether a recall may read the volume: one that looks for its copies now may, too. */
  wants(volume: string): boolean {
    for (const request of this.#byKey.values()) if (request.object === null || request.copies.some((copy) => copy.volume === volume)) return true;
    return false;
  }

  /** The catalogue then says of every file what its last reader saw. */
  async settle(): Promise<void> {
    await this.#moves.flush();
  }

  /** Undoes what is being restored, sends everybody away with EAGAIN, and resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#lookAgain);
    for (const request of [...this.#byKey.values()]) this.#cancelRequest(request, stopping);
    await this.#service.stop();
    await this.#committer.idle();
    await this.#moves.flush();
  }

  #admit(event: StubEvent): void {
    const { filesystems, log } = this.#options;
    const admission: Admission = this.#stopping ? { kind: 'answer', answer: 'EAGAIN' } : admissionOf(event, filesystems, log);
    if (admission.kind === 'look-up') {
      void this.#lookUp(event);
      return;
    }
    if (admission.kind === 'answer') {
      this.#answer(event, admission.answer);
      return;
    }
    const { filesystem, path, uid } = event;
    const { ino, bytes, record } = admission;
    const key = requestKey(filesystem, ino, admission.handleHash);
    const { asker, refusal } = this.#gate.meet(event);
    if (refusal !== null) {
      log.info({ path, pid: event.pid, exe: event.exe, reason: refusal.reason }, 'a recall was refused');
      this.#answer(event, refusal.errno);
      return;
    }
    const waiter = { event: event.id, pid: event.pid, uid, exe: event.exe, asker, since: performance.now() };
    const present = this.#byKey.get(key);
    if (present !== undefined) {
      if (present.cancelled === null) this.#join(present, event, waiter);
      else this.#behind.add(present, event);
      return;
    }
    const request = this.#create({ key, filesystem, ino, path, bytes, record, priority: priorities.interactive, owner: `u${uid}` });
    request.fd = event.fd;
    request.waiters.set(event.id, waiter);
    this.#gate.begun(request, asker);
    this.#byEvent.set(event.id, request);
    this.#limitTime(request);
    void this.#resolve([request]);
  }

  #join(request: RecallRequest, event: StubEvent, waiter: Waiter): void {
    const { asker, uid } = waiter;
    request.waiters.set(event.id, waiter);
    this.#byEvent.set(event.id, request);
    // Better than the name that a job knows it by: that may be another file's by now.
    if (request.fd === null) request.fd = event.fd;
    else closeSync(event.fd);
    this.#prioritize(request, priorities.interactive, `u${uid}`);
    if (request.ahead !== null) {
      this.#askedFor(request);
      this.#gate.begun(request, asker);
      this.#limitTime(request);
      this.#judgeAgain(request);
      this.#prefetcher.noticed(asker, request);
      return;
    }
    if (this.#parking.reasonOf(request) === null || request.object === null) return;
    // What one user's limit holds back another one may have.
    const keys = this.#gate.passAs(request, asker);
    if (keys === null) this.#requeue(request);
    else this.#parking.waitsAlsoFor(request, keys);
  }

  /** What was recalled ahead is from now on wanted by somebody. */
  #askedFor(request: RecallRequest): void {
    if (request.ahead === null) return;
    request.ahead = null;
    this.#ahead.delete(request);
    const { interests } = request;
    request.interests = [];
    for (const interest of interests) interest.ended(null, 0);
  }

  #dropAhead(isMeant: (request: RecallRequest) => boolean): void {
    for (const request of [...this.#ahead].filter(isMeant)) this.#cancelRequest(request, dropped);
  }

  /** Of what needs no recall; null lets the reader go on. */
  #answer(event: StubEvent, errno: DenialErrno | null): void {
    closeSync(event.fd);
    this.#options.keeper.answer([event.id], errno);
  }

  /** Of a hollow file without a record the catalogue tells whether it is a stub. */
  async #lookUp(event: StubEvent): Promise<void> {
    const { catalog, filesystems, log } = this.#options;
    try {
      await this.#moves.flush();
      if (await isStubWithoutRecord(event, filesystems[event.filesystem]?.id, catalog, log)) this.onStub(event);
      else this.#answer(event, null);
    } catch (error) {
      log.error({ error, path: event.path }, 'a hollow file could not be looked up');
      this.#answer(event, 'EIO');
    }
  }

  #create(made: Pick<RecallRequest, 'key' | 'filesystem' | 'ino' | 'path' | 'bytes' | 'record' | 'priority' | 'owner'>): RecallRequest {
    const request: RecallRequest = {
      ...made,
      id: this.#nextId++,
      createdAt: Date.now(),
      waiters: new Map(),
      interests: [],
      ahead: null,
      fd: null,
      state: 'queued',
      inCatalogue: false,
      object: null,
      copies: [],
      done: 0,
      cancelled: null,
      priorityPinned: false,
      reason: null,
    };
    this.#byKey.set(request.key, request);
    this.#byId.set(request.id, request);
    return request;
  }

  #limitTime(request: RecallRequest): void {
    const { timeoutS } = this.#options;
    if (timeoutS <= 0) return;
    setTimeout(() => {
      if (this.#byKey.get(request.key) === request) this.#cancelRequest(request, { code: 'EAGAIN', message: 'the configured time is over' });
    }, timeoutS * 1000).unref();
  }

  /** By who wants it, unless an operator said otherwise. */
  #prioritize(request: RecallRequest, priority: number, owner?: string): void {
    if (request.priorityPinned || request.priority === priority) return;
    request.priority = priority;
    if (owner !== undefined) request.owner = owner;
    this.#service.moved(request);
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
      if (this.#byKey.get(request.key) !== request) return;
      const object = objects[index];
      if (request.cancelled !== null) this.#end(request, request.cancelled);
      else if (object === undefined) this.#end(request, { code: 'EIO', message: 'the catalogue does not know its object' });
      else if (object.size !== request.record.size) this.#end(request, { code: 'EIO', message: 'its object has another size' });
      else {
        request.object = object;
        request.copies = object.copies.filter(usable);
        if (request.copies.length === 0 && request.ahead === null && this.#onShelf(request, object.copies)) return;
        this.#queue(request, { code: 'EIO', message: unusable(object.copies) });
        const [reader] = request.waiters.values();
        if (reader !== undefined && this.#byKey.get(request.key) === request && this.#parking.reasonOf(request) === null) this.#prefetcher.noticed(reader.asker, request);
      }
    });
  }

  /** Looks again for the copies of requests that wait for a volume on the shelf: one came back. */
  async volumeIsBack(): Promise<void> {
    this.#asked.clear();
    const waiting = [...this.#parking.of(shelfKey)];
    for (const request of waiting) this.#parking.leave(request);
    await this.#resolve(waiting);
  }

  /** True where somebody only has to put a volume in: the request waits for that. */
  #onShelf(request: RecallRequest, copies: readonly CopyRow[]): boolean {
    const volumes = [...new Set(copies.filter(({ volumeState }) => volumeState === 'exported').map(({ volume }) => volume))];
    if (volumes.length === 0) return false;
    const { catalog, log } = this.#options;
    const reason = `${volumes.join(' or ')} is on the shelf: put it in, then hsm tape import ${volumes[0]}`;
    this.#parking.park(request, [shelfKey], reason);
    if (volumes.some((volume) => this.#asked.has(volume))) return true;
    for (const volume of volumes) this.#asked.add(volume);
    log.warn({ volumes, path: request.path }, 'a volume on the shelf is wanted: put it in');
    catalog.logEvent('volume-wanted', null, { volumes, path: request.path }).catch((error: unknown) => log.error({ error }, 'a request for a volume was not recorded'));
    return true;
  }

  #queue(request: RecallRequest, otherwise: RecallFailure): void {
    if (request.copies.length === 0) this.#end(request, otherwise);
    else this.#requeue(request);
  }

  /** Onto its volume, or aside while it may not go there. */
  #requeue(request: RecallRequest): void {
    // It waits for a volume from the shelf.
    if (request.copies.length === 0) return;
    this.#service.remove(request);
    request.state = 'queued';
    this.#place(request, this.#pass(request));
  }

  #place(request: RecallRequest, passage: Passage): void {
    if (passage.kind !== 'go' && request.ahead !== null) {
      this.#end(request, dropped);
      return;
    }
    if (passage.kind === 'wait') {
      if (passage.keys.some(isPausedKey)) this.#gate.paused(request);
      this.#parking.park(request, passage.keys, passage.reason);
      return;
    }
    this.#parking.leave(request);
    if (passage.kind === 'go') this.#service.add(request);
    else if (passage.lacksRoom) this.#end(request, passage.failure);
    else this.#refuse(request, passage.failure);
  }

  /** By a rule: that is counted, and is no failure that somebody would look into. */
  #refuse(request: RecallRequest, failure: RecallFailure): void {
    for (const { pid, exe } of request.waiters.values()) this.#options.log.info({ path: request.path, pid, exe, reason: failure.message }, 'a recall was refused');
    this.#end(request, failure, false);
  }

  /** What nobody has asked for yet gives way to what somebody waits for, the last wanted first. */
  #pass(request: RecallRequest): Passage {
    let passage = this.#gate.pass(request);
    if (request.ahead !== null || passage.kind === 'go' || !passage.lacksRoom) return passage;
    let isMade = false;
    for (const ahead of [...this.#ahead].reverse()) {
      if (ahead.filesystem !== request.filesystem) continue;
      this.#cancelRequest(ahead, dropped);
      // What is being restored is given up at its next block.
      if (this.#ahead.has(ahead)) {
        isMade = true;
        continue;
      }
      passage = this.#gate.pass(request);
      if (passage.kind === 'go') return passage;
    }
    return isMade && passage.kind === 'refuse' ? { kind: 'wait', keys: [spaceKey(request.filesystem)], reason: passage.failure.message, lacksRoom: true } : passage;
  }

  /** Who wants it has changed: those who still do may have to wait, or need not any more. */
  #judgeAgain(request: RecallRequest): void {
    if (request.object === null || request.cancelled !== null || this.#service.isActive(request)) return;
    if (this.#parking.reasonOf(request) !== null) {
      this.#requeue(request);
      return;
    }
    const passage = this.#pass(request);
    if (passage.kind === 'go') return;
    this.#service.remove(request);
    request.state = 'queued';
    this.#place(request, passage);
  }

  /** Looks again at what waits for these keys: in turn, until one still has to wait. `all`: at all that wait for room, since a smaller one may fit. */
  #wake(keys: Iterable<string>, all = false): void {
    for (const key of keys) {
      // A small one may fit where a large one waits on.
      let misses = !all ? 1 : isSpaceKey(key) ? Infinity : mostMisses;
      for (const request of this.#parking.of(key)) {
        if (this.#stopping) return;
        this.#requeue(request);
        if (this.#parking.isParked(request, key)) misses -= 1;
        if (misses === 0) break;
      }
    }
  }

  /** Not at once: who gets room may end at once, too, and make room for the next one. */
  #wakeSoon(keys: readonly string[]): void {
    if (this.#parking.size === 0) return;
    if (this.#woken.size === 0) {
      queueMicrotask(() => {
        const woken = [...this.#woken];
        this.#woken.clear();
        this.#wake(woken);
      });
    }
    for (const key of keys) this.#woken.add(key);
  }

  #tellStorm(storm: Storm, begun: boolean): void {
    const { catalog, log } = this.#options;
    log.warn({ ...storm }, begun ? 'a storm of recalls begins' : 'a storm of recalls is over');
    catalog.logEvent(begun ? 'recall-storm' : 'recall-storm-over', storm.uid, { exe: storm.exe, requests: storm.requests }).catch((error: unknown) => log.error({ error }, 'a storm was not recorded'));
  }

  #restored(request: RecallRequest, bytes: number): void {
    this.#files += 1;
    this.#bytes += bytes;
    this.#end(request, null);
  }

  #attemptFailed(request: RecallRequest, failure: RecallFailure, next: 'other-copy' | 'give-up'): void {
    this.#service.remove(request);
    const copy = request.copies[0];
    if (next === 'give-up' || request.cancelled !== null || request.ahead !== null || this.#stopping) {
      this.#end(request, request.cancelled ?? (this.#stopping ? stopping : failure));
      return;
    }
    request.reason = `${copy?.volume ?? ''}: ${failure.message}`;
    this.#options.log.warn({ path: request.path, volume: copy?.volume, reason: failure.message }, 'a copy could not be restored');
    if (!this.#service.tryElsewhere(request)) request.copies = request.copies.slice(1);
    if (request.copies.length === 0 && request.object !== null && this.#onShelf(request, request.object.copies)) {
      request.state = 'queued';
      return;
    }
    this.#queue(request, failure);
  }

  #cancelRequest(request: RecallRequest, failure: RecallFailure): void {
    if (request.cancelled !== null) return;
    request.cancelled = failure;
    if (this.#service.isActive(request)) return; // the restorer sees it at its next block
    this.#service.remove(request);
    this.#parking.leave(request);
    if (request.object !== null) this.#end(request, failure);
  }

  /** The one place where a request ends: fd closed, waiters answered, job told. `isKept`: a failure is listed and recorded. */
  #end(request: RecallRequest, failure: RecallFailure | null, isKept = request.ahead === null && failure !== jobCancelled): void {
    if (this.#byKey.get(request.key) !== request) return;
    this.#byKey.delete(request.key);
    this.#byId.delete(request.id);
    this.#ahead.delete(request);
    this.#service.remove(request);
    this.#parking.leave(request);
    this.#gate.ended(request, failure === null);
    if (failure !== null && isKept && isWanted(request)) this.#failures.add(request, failure, failure !== stopping);
    if (request.fd !== null) closeSync(request.fd);
    const events = [...request.waiters.keys()];
    for (const event of events) this.#byEvent.delete(event);
    const errno = failure === null ? null : denialOf(failure.code);
    if (events.length > 0) this.#options.keeper.answer(events, errno);
    // A further name of the same inode brings no further bytes.
    request.interests.forEach((interest, index) => interest.ended(failure, index === 0 ? request.record.size : 0));
    const now = performance.now();
    this.#options.onEnd?.({ path: request.path, failure, isCancelled: request.cancelled !== null, errno, waitedMs: [...request.waiters.values()].map(({ since }) => now - since) });
    if (isDenial(failure)) for (const { uid } of request.waiters.values()) this.#prefetcher.ended(uid, request.copies[0]?.volume ?? '');
    for (const event of this.#behind.take(request)) this.onStub(event);
  }
}

const jobCancelled: RecallFailure = { code: 'EINTR', message: 'the job was cancelled' };
const stopping: RecallFailure = { code: 'EAGAIN', message: 'the daemon stops' };

const shelfKey = 'shelf';

/** Who could not have this one file may well want the next one. */
const isDenial = (failure: RecallFailure | null): boolean => failure !== null && failure.code !== 'EIO';

/** The errno that waiters see. */
function denialOf(code: string): DenialErrno {
  return denialErrnos.find((errno) => errno === code) ?? 'EIO';
}
