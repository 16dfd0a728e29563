/** What a request has to pass before it may go to its volume: pauses of its user, limits, room on its filesystem. */
import type { StubEvent } from './keeper-client.ts';
import { askerOf } from './limits/asker.ts';
import { Limits } from './limits/limits.ts';
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
  | { readonly kind: 'wait'; readonly key: string; readonly reason: string }
  | { readonly kind: 'refuse'; readonly failure: RecallFailure };

export class Gate {
  readonly #filesystems: readonly ManagedFilesystem[];
  readonly #pauses: Pauses;
  readonly #limits: Limits;
  readonly #space: Space<RecallRequest>;
  readonly #storms: Storms;
  /** What each request counts under. */
  readonly #keys = new Map<RecallRequest, readonly string[]>();
  /** Whose load each request is part of. */
  readonly #loads = new Map<RecallRequest, { readonly uid: number; readonly exe: string }>();
  readonly #refused = new Map<string, number>();

  constructor(settings: GateSettings, filesystems: readonly ManagedFilesystem[], pauses: Pauses, onStorm: (storm: Storm, begun: boolean) => void) {
    this.#filesystems = filesystems;
    this.#pauses = pauses;
    this.#limits = new Limits([...settings.limits, ...(settings.defaultLimits ? defaultRules : [])], Date.now);
    this.#space = new Space(settings, Date.now);
    this.#storms = new Storms(settings.stormFiles, Date.now, onStorm);
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

  /** `go` holds until ended(); asked again it is `go` again, but for pauses. */
  pass(request: RecallRequest): Passage {
    return this.#passPauses(request) ?? this.#passLimits(request) ?? this.#passSpace(request);
  }

  /** It waits for a pause to end, and takes nobody's room meanwhile. Keys that have room again. */
  paused(request: RecallRequest): readonly string[] {
    this.#space.ended(request);
    const keys = this.#keys.get(request) ?? [];
    this.#keys.delete(request);
    this.#limits.ended(keys);
    return keys;
  }

  /** Keys that have room again. */
  ended(request: RecallRequest): readonly string[] {
    const load = this.#loads.get(request);
    if (load !== undefined) this.#storms.ended(load.uid, load.exe);
    this.#loads.delete(request);
    return this.paused(request);
  }

  get storms(): readonly Storm[] {
    return this.#storms.rows;
  }

  /** How many were refused since the start, by rule. */
  get refused(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refused);
  }

  /** A pause holds back what only paused users want: who else waits for the file gets it. */
  #passPauses({ waiters, interests }: RecallRequest): Passage | null {
    if (interests.length > 0) return null;
    let held: Passage | null = null;
    for (const { uid } of waiters.values()) {
      const reason = this.#pauses.ofUser(uid);
      if (reason === null) return null;
      held ??= { kind: 'wait', key: pausedKey(uid), reason };
    }
    return held;
  }

  #passLimits(request: RecallRequest): Passage | null {
    if (request.asker === null || this.#keys.has(request)) return null;
    const { verdict, keys } = this.#limits.begin(request.asker, lengthOf(request));
    if (verdict.kind === 'wait') return verdict;
    if (verdict.kind === 'refuse') {
      this.#count(verdict.rule);
      return { kind: 'refuse', failure: { code: verdict.errno, message: verdict.reason } };
    }
    this.#keys.set(request, keys);
    return null;
  }

  #passSpace(request: RecallRequest): Passage {
    const filesystem = this.#filesystems[request.filesystem];
    if (filesystem === undefined || filesystem.mountFd < 0) return { kind: 'go' };
    const verdict = this.#space.begin(request, `/proc/self/fd/${filesystem.mountFd}`, lengthOf(request));
    if (verdict === 'go') return { kind: 'go' };
    const reason = `no room on ${filesystem.path}`;
    return verdict === 'wait' ? { kind: 'wait', key: `space:${request.filesystem}`, reason } : { kind: 'refuse', failure: { code: 'ENOSPC', message: reason } };
  }

  #count(rule: string): void {
    this.#refused.set(rule, (this.#refused.get(rule) ?? 0) + 1);
  }
}

const pausedKey = (uid: number): string => `paused:${uid}`;

export const isPausedKey = (key: string): boolean => key.startsWith('paused:');

/** What its data takes: holes are on no tape. */
const lengthOf = ({ copies, record }: RecallRequest): number => Math.min(copies[0]?.length ?? record.size, record.size);
