/** What the daemon told of itself, kept up to date by what `watch` sends. */
import type { DriveLine, EventLine, JobLine, QueueLine, Status, VolumeLine, WatchRow, WatchTopic } from '../daemon/protocol.ts';
import { watchKeys } from '../daemon/protocol.ts';

/** A recall request as `watch` tells it; times in ms since the epoch. */
export type Request = Omit<QueueLine, 'age' | 'eta' | 'askedAt'> & { readonly askedAt: number; readonly readyAt: number | null };
export type DaemonStatus = Omit<Status, 'drives' | 'volumes'>;

/** How much came back within one interval. */
export interface Sample {
  /** ms since the epoch. */
  readonly at: number;
  /** Files and bytes a second. */
  readonly files: number;
  readonly bytes: number;
}

/** Read-only for views. Rows are replaced, never changed. */
export interface Mirror {
  /** Grows with every change. */
  readonly version: number;
  readonly link: Link;
  readonly operator: boolean;
  readonly uid: number | null;
  readonly status: DaemonStatus | null;
  readonly requests: ReadonlyMap<string, Request>;
  readonly drives: ReadonlyMap<string, DriveLine>;
  readonly volumes: ReadonlyMap<string, VolumeLine>;
  readonly jobs: ReadonlyMap<string, JobLine>;
  readonly events: ReadonlyMap<number, EventLine>;
  /** Oldest first. */
  readonly samples: readonly Sample[];
}

/** Whether the daemon is there. `since`: ms since the epoch. */
export type Link = { readonly state: 'connecting' | 'up' | 'away'; readonly since: number; readonly why: string };

const samplesKept = 600;

export class LiveMirror implements Mirror {
  version = 0;
  link: Link = { state: 'connecting', since: Date.now(), why: '' };
  operator = false;
  uid: number | null = null;
  status: DaemonStatus | null = null;
  readonly requests = new Map<string, Request>();
  readonly drives = new Map<string, DriveLine>();
  readonly volumes = new Map<string, VolumeLine>();
  readonly jobs = new Map<string, JobLine>();
  readonly events = new Map<number, EventLine>();
  samples: Sample[] = [];
  #last: { readonly at: number; readonly files: number; readonly bytes: number } | null = null;

  /** True when there is something to look at: at the end of a round of changes, and in the first one before the long queue. */
  take(row: WatchRow): boolean {
    this.version += 1;
    if ('watch' in row) {
      this.#begin(row.watch);
      return false;
    }
    if ('at' in row) {
      this.link = this.link.state === 'up' ? this.link : { state: 'up', since: Date.now(), why: '' };
      this.#sample(Date.parse(row.at));
      return true;
    }
    const table = this.#table(row.topic);
    for (const key of (row.gone ?? []) as readonly never[]) table.delete(key);
    for (const each of row.set) {
      const key = each[watchKeys[row.topic]] as never;
      const before = table.get(key);
      const after = row.topic === 'queue' ? instants(each) : each;
      table.set(key, (before === undefined ? after : { ...before, ...after }));
    }
    if (row.topic === 'status') this.status = this.#statuses.get('status') ?? null;
    return row.topic === 'drives' && this.link.state !== 'up';
  }

  /** What was known stays, to be looked at. */
  lost(why: string): void {
    this.version += 1;
    this.link = { state: this.status === null ? 'connecting' : 'away', since: this.link.state === 'up' ? Date.now() : this.link.since, why };
  }

  readonly #statuses = new Map<string, DaemonStatus>();

  #begin({ operator, uid }: { readonly operator: boolean; readonly uid: number }): void {
    this.operator = operator;
    this.uid = uid;
    for (const table of [this.#statuses, this.requests, this.drives, this.volumes, this.jobs, this.events]) table.clear();
    this.#last = null;
  }

  #table(topic: WatchTopic): Map<never, unknown> {
    const tables = { status: this.#statuses, queue: this.requests, drives: this.drives, volumes: this.volumes, jobs: this.jobs, events: this.events };
    return tables[topic] as Map<never, unknown>;
  }

  #sample(at: number): void {
    const { files = 0, bytes = 0 } = this.status?.recalls ?? {};
    const last = this.#last;
    this.#last = { at, files, bytes };
    if (last === null || at <= last.at) return;
    const seconds = (at - last.at) / 1000;
    this.samples.push({ at, files: Math.max(0, files - last.files) / seconds, bytes: Math.max(0, bytes - last.bytes) / seconds });
    if (this.samples.length > samplesKept) this.samples.shift();
  }
}

/** Points in time as numbers: rows are many, and are sorted by them. */
function instants(row: Readonly<Record<string, unknown>>): object {
  const { askedAt, readyAt } = row;
  return {
    ...row,
    ...(typeof askedAt === 'string' ? { askedAt: Date.parse(askedAt) } : {}),
    ...(typeof readyAt === 'string' ? { readyAt: Date.parse(readyAt) } : {}),
  };
}
