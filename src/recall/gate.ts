/** What a request has to pass before it may go to its volume: pauses of its user, limits, room on its filesystem. */
import type { StubEvent } from './keeper-client.ts';
import { askerOf } from './limits/asker.ts';
import { Limits, type Count } from './limits/limits.ts';
import { defaultRules, type Asker, type LimitRule } from './limits/rules.ts';
import { Space, type SpaceSettings } from './limits/space.ts';
import { Storms, type Storm } from './limits/storms.ts';
import type { RecallFailure, RecallRequest } from './requests.ts';
import type { ManagedFilesystem } from './restorer.ts';
import type { Pauses } from './scheduler/pauses.ts';

export interface GateSettings extends SpaceSettings {
  readonly limits: readonly LimitRule[];
  /** The rules for indexers, thumbnailers, scanners and backups hold, too. */
  readonly defaultLimits: boolean;
  /** So many requests of one user at a time are a storm; 0: none is. */
  readonly stormFiles: number;
}

export type Passage =
  | { readonly kind: 'go' }
  /** `keys`: what may end the wait. `lacksRoom`: on its filesystem. */
  | { readonly kind: 'wait'; readonly keys: readonly string[]; readonly reason: string; readonly lacksRoom: boolean }
  | { readonly kind: 'refuse'; readonly failure: RecallFailure; readonly lacksRoom: boolean };

export interface GateListener {
  storm(storm: Storm, begun: boolean): void;
  /** Who waits for one of these keys may pass now. */
  room(keys: readonly string[]): void;
}

export class Gate {
  readonly #filesystems: readonly ManagedFilesystem[];
  readonly #pauses: Pauses;
  readonly #listener: GateListener;
  readonly #limits: Limits;
  readonly #space: Space<RecallRequest>;
  readonly #storms: Storms;
  /** What each request counts as under limits, and as whose. */
  readonly #counts = new Map<RecallRequest, { readonly asker: Asker; readonly count: Count }>();
  /** Whose load each request is part of. */
  readonly #loads = new Map<RecallRequest, { readonly uid: number; readonly exe: string }>();
  readonly #refused = new Map<string, number>();

  constructor(settings: GateSettings, filesystems: readonly ManagedFilesystem[], pauses: Pauses, listener: GateListener) {
    this.#filesystems = filesystems;
    this.#pauses = pauses;
    this.#listener = listener;
    this.#limits = new Limits([...settings.limits, ...(settings.defaultLimits ? defaultRules : [])], Date.now);
    this.#space = new Space(settings, Date.now);
    this.#storms = new Storms(settings.stormFiles, Date.now, (storm, begun) => listener.storm(storm, begun));
  }

  /** Who asks; null in `refusal`: they may. To be called before anything is done for them. */
  meet(event: StubEvent): { readonly asker: Asker; readonly refusal: { readonly errno: 'EPERM' | 'EAGAIN'; readonly rule: string; readonly reason: string } | null } {
    const asker = askerOf(event);
    const refusal = this.#limits.refusal(asker);
    if (refusal !== null) this.#count(refusal.rule);
    return { asker, refusal };
  }

  /** A reader's request begins. */
  begun(request: RecallRequest, { uid, exe }: Asker): void {
    this.#loads.set(request, { uid, exe });
    this.#storms.begun(uid, exe);
  }

  /** `go` holds until ended(); asked again it is `go` again, but for pauses, and while one of those for whom it was `go` still waits. */
  pass(request: RecallRequest): Passage {
    const held = this.#passPauses(request) ?? this.#passLimits(request);
    if (held === null) return this.#passSpace(request);
    // Room that was promised to it would stand empty meanwhile.
    if (this.#space.ended(request)) this.#listener.room([spaceKey(request.filesystem)]);
    return held;
  }

  /** What this further reader would have to wait for, too; null: he may pass, and pass() is `go` for his sake or waits for room. */
  passAs(request: RecallRequest, asker: Asker): readonly string[] | null {
    const passage = this.#passPauses(request) ?? this.#passLimits(request, [asker]);
    if (passage === null || passage.kind === 'go') return null;
    return passage.kind === 'wait' ? passage.keys : [];
  }

  /** It waits for a pause to end, and takes nobody's room meanwhile. */
  paused(request: RecallRequest): void {
    this.#leave(request, true);
  }

  /** `isDone`: the file is on disk. */
  ended(request: RecallRequest, isDone: boolean): void {
    const load = this.#loads.get(request);
    if (load !== undefined) this.#storms.ended(load.uid, load.exe);
    this.#loads.delete(request);
    this.#leave(request, isDone || request.ahead === null);
  }

  get storms(): readonly Storm[] {
    return this.#storms.rows;
  }

  /** How many were refused since the start, by rule. */
  get refused(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refused);
  }

  /** A pause holds back what only paused users want: who else waits for the file gets it. */
  #passPauses(request: RecallRequest): Passage | null {
    if (request.interests.length > 0 && request.ahead === null) return null;
    let held: Passage | null = null;
    for (const { uid } of askersOf(request)) {
      const reason = this.#pauses.ofUser(uid);
      if (reason === null) return null;
      held ??= { kind: 'wait', keys: [pausedKey(uid)], reason, lacksRoom: false };
    }
    return held;
  }

  /** By whom it is wanted: one who may have it is enough. A job waits for nobody's limit. */
  #passLimits(request: RecallRequest, askers: Iterable<Asker> = askersOf(request)): Passage | null {
    const isAhead = request.ahead !== null;
    if (this.#isCounted(request)) return null;
    this.#uncount(request, false);
    if (request.interests.length > 0 && !isAhead) return null;
    const waits: { readonly key: string; readonly reason: string }[] = [];
    let refusal: Passage | null = null;
    const judged = new Set<string>();
    for (const asker of askers) {
      const accounts = this.#limits.accountsOf(asker);
      if (judged.has(accounts)) continue;
      judged.add(accounts);
      const { verdict, count } = this.#limits.begin(asker, lengthOf(request), isAhead);
      if (count !== null) {
        this.#counts.set(request, { asker, count });
        return null;
      }
      if (verdict.kind === 'wait') waits.push(verdict);
      else if (verdict.kind === 'refuse') {
        if (!isAhead) this.#count(verdict.rule);
        refusal ??= { kind: 'refuse', failure: { code: verdict.errno, message: verdict.reason }, lacksRoom: false };
      }
    }
    const [first] = waits;
    return first === undefined ? refusal : { kind: 'wait', keys: waits.map(({ key }) => key), reason: first.reason, lacksRoom: false };
  }

  /** And one for whose sake still wants it. */
  #isCounted(request: RecallRequest): boolean {
    const counted = this.#counts.get(request);
    if (counted === undefined) return false;
    if (request.ahead !== null || counted.count.isAhead) return request.ahead === counted.asker;
    const accounts = this.#limits.accountsOf(counted.asker);
    for (const { asker } of request.waiters.values()) if (asker === counted.asker || this.#limits.accountsOf(asker) === accounts) return true;
    return false;
  }

  #leave(request: RecallRequest, wasWanted: boolean): void {
    this.#space.ended(request);
    this.#uncount(request, wasWanted);
    this.#listener.room([spaceKey(request.filesystem)]);
  }

  #uncount(request: RecallRequest, wasWanted: boolean): void {
    const counted = this.#counts.get(request);
    if (counted === undefined) return;
    this.#counts.delete(request);
    this.#limits.ended(counted.count, wasWanted);
    this.#listener.room(counted.count.keys);
  }

  #passSpace(request: RecallRequest): Passage {
    const filesystem = this.#filesystems[request.filesystem];
    if (filesystem === undefined || filesystem.mountFd < 0) return { kind: 'go' };
    const verdict = this.#space.begin(request, `/proc/self/fd/${filesystem.mountFd}`, lengthOf(request));
    if (verdict === 'go') return { kind: 'go' };
    const reason = `no room on ${filesystem.path}`;
    return verdict === 'wait'
      ? { kind: 'wait', keys: [spaceKey(request.filesystem)], reason, lacksRoom: true }
      : { kind: 'refuse', failure: { code: 'ENOSPC', message: reason }, lacksRoom: true };
  }

  #count(rule: string): void {
    this.#refused.set(rule, (this.#refused.get(rule) ?? 0) + 1);
  }
}

const pausedKey = (uid: number): string => `paused:${uid}`;

export const isPausedKey = (key: string): boolean => key.startsWith('paused:');

export const spaceKey = (filesystem: number): string => `space:${filesystem}`;

export const isSpaceKey = (key: string): boolean => key.startsWith('space:');

/** Of readers; who waits comes before him ahead of whom it is recalled. */
function* askersOf({ ahead, waiters }: RecallRequest): Iterable<Asker> {
  for (const { asker } of waiters.values()) yield asker;
  if (ahead !== null) yield ahead;
}

/** What its data takes: holes are on no tape. */
const lengthOf = ({ copies, record }: RecallRequest): number => Math.min(copies[0]?.length ?? record.size, record.size);
