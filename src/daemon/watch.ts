/** `watch`: tells a client that stays what is there, and from then on what changes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { HsmError, usageError } from '../errors.ts';
import { integer, textList, type Params } from './params.ts';
import { watchKeys, type WatchTopic } from './protocol.ts';
import type { Call } from './server.ts';

export type Row = Readonly<Record<string, unknown>>;

/** All rows of a topic as operators see them. */
export type WatchSources = { readonly [topic in WatchTopic]: () => Promise<readonly Row[]> | readonly Row[] };

const topics = Object.keys(watchKeys) as readonly WatchTopic[];
const forOperators: readonly WatchTopic[] = ['jobs', 'events'];
/** A topic is not asked more often than this, however many watch. */
const freshMs: Readonly<Record<WatchTopic, number>> = { status: 500, queue: 500, drives: 200, volumes: 4000, jobs: 500, events: 500 };
/** Of a storm's queue rows take long to make and to compare: nine tenths of the time are for those whom they are about. */
const mostBusy = 1 / 10;
const rowsPerLine = 500;
const leastIntervalMs = 250;
const mostIntervalMs = 60_000;
/** Of users that are no operators. */
const mostWatches = 16;

/**
 * Serves every `watch` of a daemon. A client is told what changed since the last time it was told something: one that reads slowly
 * misses what was between, and costs no memory but the rows that it knows.
 */
export class Watches {
  readonly #sources: WatchSources;
  readonly #now: () => number;
  readonly #seen = new Map<WatchTopic, { readonly until: number; readonly rows: Promise<readonly Row[]> }>();
  readonly #byUser = new Map<number, number>();

  /** `now`: ms. */
  constructor(sources: WatchSources, now: () => number = () => performance.now()) {
    this.#sources = sources;
    this.#now = now;
  }

  /** Resolves when the client stops the request or is gone. */
  async watch(params: Params, call: Call): Promise<object> {
    const wanted = topicsOf(params, call.operator);
    const intervalMs = integer(params, 'intervalMs', 1000);
    if (intervalMs < leastIntervalMs || intervalMs > mostIntervalMs) throw usageError(`intervalMs must be ${leastIntervalMs} to ${mostIntervalMs}`);
    const { uid } = call.peer;
    const others = this.#byUser.get(uid) ?? 0;
    if (!call.operator && others >= mostWatches) throw new HsmError('EAGAIN', `user ${uid} watches ${mostWatches} times already`, { retry: 'later' });
    this.#byUser.set(uid, others + 1);
    try {
      await call.row({ watch: { operator: call.operator, uid, topics: wanted } });
      await this.#serve(wanted, intervalMs, call);
    } finally {
      const left = (this.#byUser.get(uid) ?? 1) - 1;
      if (left === 0) this.#byUser.delete(uid);
      else this.#byUser.set(uid, left);
    }
    return {};
  }

  async #serve(wanted: readonly WatchTopic[], intervalMs: number, call: Call): Promise<void> {
    const known = new Map(wanted.map((topic) => [topic, new Known(watchKeys[topic])] as const));
    const ended = AbortSignal.any([call.gone, call.cancelled]);
    while (!ended.aborted) {
      let busyMs = 0;
      for (const [topic, each] of known) {
        const rows = await this.#rows(topic);
        const begin = this.#now();
        const { set, gone } = each.update(visible(topic, rows, call));
        busyMs += this.#now() - begin;
        for (let at = 0; (at < set.length || (at === 0 && gone.length > 0)) && !ended.aborted; at += rowsPerLine) {
          await call.row({ topic, set: set.slice(at, at + rowsPerLine), ...(at === 0 && gone.length > 0 ? { gone } : {}) });
        }
      }
      await call.row({ at: new Date().toISOString() });
      await sleep(Math.max(intervalMs, busyMs / mostBusy), null, { signal: ended }).catch(() => null);
    }
  }

  #rows(topic: WatchTopic): Promise<readonly Row[]> {
    const seen = this.#seen.get(topic);
    const begin = this.#now();
    if (seen !== undefined && begin < seen.until) return seen.rows;
    const rows = Promise.resolve(this.#sources[topic]());
    const fresh = Math.max(freshMs[topic], (this.#now() - begin) / mostBusy);
    this.#seen.set(topic, { until: begin + fresh, rows });
    // Nobody need watch any more by then: what is not asked again is not kept.
    setTimeout(() => {
      if (this.#seen.get(topic)?.rows === rows) this.#seen.delete(topic);
    }, fresh).unref();
    return rows;
  }
}

function topicsOf(params: Params, operator: boolean): WatchTopic[] {
  const named = params['topics'] === undefined ? topics : textList(params, 'topics').map(topicOf);
  return topics.filter((topic) => named.includes(topic) && (operator || !forOperators.includes(topic)));
}

function topicOf(name: string): WatchTopic {
  const topic = topics.find((each) => each === name);
  if (topic === undefined) throw usageError(`'${name}' cannot be watched: ${topics.join(', ')} can`);
  return topic;
}

function visible(topic: WatchTopic, rows: readonly Row[], { operator, peer }: Call): readonly Row[] {
  if (operator || topic !== 'queue') return rows;
  return rows.filter((row) => (row['waiters'] as readonly { readonly uid: number }[]).some(({ uid }) => uid === peer.uid));
}

/** Where a request stands in its queue. */
const places: readonly string[] = ['position', 'readyAt'];
/** With one request done all behind it move up: so many that did nothing else are told of every so many rounds. */
const manyMoved = 500;
const movedRounds = 5;

/** What a client was told of one topic. */
export class Known {
  readonly #key: string;
  #rows = new Map<unknown, Row>();
  #rounds = 0;

  constructor(key: string) {
    this.#key = key;
  }

  /** New rows whole, of changed ones the key and what changed; the keys of those that are no more. */
  update(rows: readonly Row[]): { readonly set: readonly Row[]; readonly gone: readonly unknown[] } {
    const set: Row[] = [];
    const moved: Row[] = [];
    const next = new Map<unknown, Row>();
    for (const row of rows) {
      const key = row[this.#key];
      const before = this.#rows.get(key);
      const changes = before === undefined ? row : changed(before, row);
      next.set(key, before === undefined ? row : before);
      if (before === undefined) set.push(row);
      else if (changes !== null) (isMove(changes) ? moved : set).push({ [this.#key]: key, ...changes });
    }
    this.#rounds += 1;
    if (moved.length <= manyMoved || this.#rounds >= movedRounds) {
      set.push(...moved);
      this.#rounds = 0;
    }
    const gone = [...this.#rows.keys()].filter((key) => !next.has(key));
    for (const each of set) next.set(each[this.#key], { ...next.get(each[this.#key]), ...each });
    this.#rows = next;
    return { set, gone };
  }
}

const isMove = (changes: Row): boolean => Object.keys(changes).every((key) => places.includes(key));

function changed(before: Row, after: Row): Record<string, unknown> | null {
  if (before === after) return null;
  let changes: Record<string, unknown> | null = null;
  for (const key of Object.keys(after)) {
    if (same(before[key], after[key]) || (key === 'readyAt' && isNear(before[key], after[key]))) continue;
    changes ??= {};
    changes[key] = after[key];
  }
  return changes;
}

/** An estimate of when moves all the time: only a move by a tenth of what is left is worth a word. */
function isNear(before: unknown, after: unknown): boolean {
  if (typeof before !== 'string' || typeof after !== 'string') return false;
  const left = Date.parse(after) - Date.now();
  return Math.abs(Date.parse(after) - Date.parse(before)) <= Math.max(1500, left / 10);
}

/** Of JSON values. */
function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => same((a as Row)[key], (b as Row)[key]));
}
