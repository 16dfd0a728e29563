/** What is queued on one volume, and which part of it comes next. */
import type { CopyRow } from '../../catalog/model.ts';
import { fairRound } from './fair-round.ts';
import { replan } from './order.ts';
import { blockSize, type Geometry, type Stretch } from './travel.ts';

const mostCounted = 200;
/** A round takes half as many newcomers as it began with, and a few in any case; the others are in the next one. */
const newcomersShare = 0.5;
const leastNewcomers = 16;

/** What the queue must know of a request. */
export interface Queued {
  readonly id: number;
  readonly createdAt: number;
  /** Higher goes first. */
  readonly priority: number;
  /** Who wants it: a user or a job. */
  readonly owner: string;
  readonly waiters: { readonly size: number };
  /** The first is the one on this volume. */
  readonly copies: readonly Pick<CopyRow, 'startBlock' | 'offset' | 'length'>[];
}

/** Requests of one container, ascending, that are read without a stop. */
export interface Stop<T> extends Stretch {
  readonly container: number;
  readonly requests: readonly T[];
}

/** An order of the drive's own, where it has one (Medium.recommendedOrder). */
export type Order = (stretches: readonly Stretch[]) => Promise<readonly number[]>;

/**
 * Requests of a better priority go before all others. Among equals of several owners each owner's oldest `share` make a round. A round is
 * served in the order that costs the least, and planned anew when others join it.
 */
export class VolumeQueue<T extends Queued> {
  readonly #bands = new Map<number, Set<T>>();
  readonly #bandOf = new Map<T, number>();
  readonly #share: number;
  #round = new Set<T>();
  /** How many of each owner took part in the round so far. */
  #given = new Map<string, number>();
  #roundPriority: number | null = null;
  /** How many more may join the round: those whose place is far along the tape must not wait for ever. Null: it has not begun. */
  #room: number | null = null;
  /** Of the round: in order, the next one first. */
  #planned: Stop<T>[] = [];
  /** Of the round, without a place in the order yet. */
  #newcomers = new Set<T>();

  /** Null: unknown, and the order is that of the blocks. */
  #geometry: Geometry | null = null;
  /** The block that the head is before. */
  #here = 0;

  constructor(share = Infinity) {
    this.#share = share;
  }

  get geometry(): Geometry | null {
    return this.#geometry;
  }

  get here(): number {
    return this.#here;
  }

  /** The volume was loaded, or more is known of it: the plan is made anew. A round that had begun goes on first. */
  placed(here: number, geometry: Geometry | null): void {
    this.#here = here;
    this.#geometry = geometry;
    this.#planned = [];
    this.#newcomers = new Set(this.#round);
  }

  /** The head went on to before block `here`. */
  passed(here: number): void {
    this.#here = here;
  }

  get size(): number {
    return this.#bandOf.size;
  }

  /** Of the most urgent request; null when there is none. */
  get priority(): number | null {
    return this.#bands.size === 0 ? null : Math.max(...this.#bands.keys());
  }

  /** ms since the epoch; null when there is none. Of the most urgent ones. */
  get oldest(): number | null {
    for (const { createdAt } of this.#bands.get(this.priority ?? NaN) ?? []) return createdAt;
    return null;
  }

  /** Who wait for the most urgent ones; more than a few hundred are not counted. */
  get waiters(): number {
    let count = 0;
    let looked = 0;
    for (const { waiters } of this.#bands.get(this.priority ?? NaN) ?? []) {
      count += waiters.size;
      looked += 1;
      if (looked >= mostCounted) break;
    }
    return count;
  }

  add(request: T): void {
    this.#bandOf.set(request, request.priority);
    const band = this.#bands.get(request.priority);
    if (band === undefined) this.#bands.set(request.priority, new Set([request]));
    else band.add(request);
    if (request.priority === this.#roundPriority) this.#join(request);
  }

  delete(request: T): void {
    const priority = this.#bandOf.get(request);
    if (priority === undefined) return;
    this.#bandOf.delete(request);
    const band = this.#bands.get(priority);
    band?.delete(request);
    if (band?.size === 0) this.#bands.delete(priority);
    this.#round.delete(request);
    this.#newcomers.delete(request);
  }

  has(request: T): boolean {
    return this.#bandOf.has(request);
  }

  /** After its priority changed. */
  moved(request: T): void {
    if (this.#bandOf.get(request) === request.priority || !this.has(request)) return;
    this.delete(request);
    this.add(request);
  }

  /** All of it in the order of service, as far as that is known. */
  inOrder(): T[] {
    this.plan();
    const planned = this.#planned.flatMap(({ requests }) => requests.filter((request) => this.#round.has(request)));
    const later = [...this.#bandOf.keys()].filter((request) => !this.#round.has(request));
    return [...planned, ...later.sort((a, b) => b.priority - a.priority || tapeOrder(a, b))];
  }

  /** Gives what came since the last plan its place. */
  plan(): void {
    this.#startRound();
    if (this.#newcomers.size === 0) return;
    this.#planned = replan(...this.#toPlan(), this.#here, this.#geometry);
  }

  /** The same by the order that the drive recommends. */
  async planBy(order: Order): Promise<void> {
    this.#startRound();
    if (this.#newcomers.size === 0) return;
    const stops = this.#toPlan().flat();
    const indexes = stops.length < 2 ? stops.keys() : await order(stops);
    this.#planned = [...new Set(indexes)].flatMap((index) => stops[index] ?? []);
    const placed = new Set(this.#planned.flatMap(({ requests }) => requests));
    this.#newcomers = new Set([...this.#round].filter((request) => !placed.has(request)));
  }

  /** Takes up to `limit` requests of one container out: what the plan has next. */
  take(limit: number): T[] {
    this.plan();
    this.#room ??= Math.max(leastNewcomers, this.#round.size * newcomersShare);
    for (let next = this.#planned[0]; next !== undefined; next = this.#planned[0]) {
      const wanted = next.requests.filter((request) => this.#round.has(request));
      const taken = wanted.slice(0, limit);
      if (wanted.length > limit) this.#planned[0] = { ...next, requests: wanted.slice(limit), first: next.container + blockOf(wanted[limit]!.copies[0]?.offset ?? 0) };
      else this.#planned.shift();
      for (const request of taken) this.delete(request);
      if (taken.length > 0) return taken;
    }
    return [];
  }

  /** A new round when the last one is through, or something more urgent came. */
  #startRound(): void {
    const { priority } = this;
    if (priority === this.#roundPriority && this.#round.size > 0) return;
    this.#roundPriority = priority;
    this.#round = fairRound(this.#bands.get(priority ?? NaN) ?? [], this.#share);
    this.#given = new Map();
    this.#room = null;
    for (const { owner } of this.#round) this.#given.set(owner, (this.#given.get(owner) ?? 0) + 1);
    this.#planned = [];
    this.#newcomers = new Set(this.#round);
  }

  /** Into the present round, if its owner's share allows it. Where one alone had more than a share so far, the round begins anew. */
  #join(request: T): void {
    const own = this.#given.get(request.owner) ?? 0;
    const isAlone = this.#given.size === 0 || (this.#given.size === 1 && own > 0);
    // A job is found while it is read: it keeps nobody waiting but itself, and a tape does not go back for what is on its way.
    const isFree = isAlone && request.waiters.size === 0;
    if (!isFree && this.#room !== null && this.#room <= 0) return;
    if (!isAlone && own === 0 && Math.max(...this.#given.values()) > this.#share) {
      this.#round.clear();
      return;
    }
    if (!isAlone && own >= this.#share) return;
    this.#given.set(request.owner, own + 1);
    if (!isFree && this.#room !== null) this.#room -= 1;
    this.#round.add(request);
    this.#newcomers.add(request);
  }

  /** What has its place already, and what has not: the latter joined to the former where it is in the same container. */
  #toPlan(): [Stop<T>[], Stop<T>[]] {
    const newcomers = Map.groupBy(this.#newcomers, containerOf);
    this.#newcomers.clear();
    const known = Map.groupBy(this.#planned, ({ container }) => container);
    const planned: Stop<T>[] = [];
    const fresh: Stop<T>[] = [];
    for (const [container, stops] of known) {
      const wanted = stops.flatMap(({ requests }) => requests.filter((request) => this.#round.has(request)));
      const [ahead, behind] = this.#split([...wanted, ...(newcomers.get(container) ?? [])]);
      newcomers.delete(container);
      if (ahead.length > 0) planned.push(stopOf(ahead));
      if (behind.length > 0) (ahead.length > 0 ? fresh : planned).push(stopOf(behind));
    }
    for (const requests of newcomers.values()) fresh.push(...this.#split(requests).filter((part) => part.length > 0).map(stopOf));
    return [planned, fresh];
  }

  /** What the head is before, and what it has passed: in the middle of a container it does not go back first. */
  #split(requests: readonly T[]): [T[], T[]] {
    const isAhead = ({ copies }: T): boolean => (copies[0]?.startBlock ?? 0) + blockOf(copies[0]?.offset ?? 0) >= this.#here;
    return [requests.filter(isAhead), requests.filter((request) => !isAhead(request))];
  }
}

const containerOf = (request: Queued): number => request.copies[0]?.startBlock ?? 0;

function stopOf<T extends Queued>(requests: readonly T[]): Stop<T> {
  const ordered = [...requests].sort(tapeOrder);
  const container = containerOf(ordered[0]!);
  let last = 0;
  for (const { copies } of ordered) last = Math.max(last, (copies[0]?.offset ?? 0) + Math.max(copies[0]?.length ?? 0, 1) - 1);
  return { container, requests: ordered, first: container + blockOf(ordered[0]!.copies[0]?.offset ?? 0), last: container + blockOf(last) };
}

const blockOf = (offset: number): number => Math.floor(offset / blockSize);

/** By place on the volume: container, then offset. */
export function tapeOrder(a: Queued, b: Queued): number {
  const left = a.copies[0];
  const right = b.copies[0];
  if (left === undefined || right === undefined) return 0;
  return left.startBlock - right.startBlock || left.offset - right.offset;
}
