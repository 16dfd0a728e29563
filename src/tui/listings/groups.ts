/** Requests taken together: by tape, by user, by program. */
import { formatSize } from '../../units.ts';
import { type AnyListing, type Column, erased, type Moment, shown } from '../listing.ts';
import type { Mirror, Request } from '../mirror.ts';
import { isFailed, programOf, since, until } from './requests.ts';

export const groupings = ['none', 'tape', 'user', 'program'] as const;
export type Grouping = (typeof groupings)[number];

export interface Group {
  readonly by: Exclude<Grouping, 'none'>;
  /** Barcode, uid or program. */
  readonly name: string;
  readonly requests: readonly Request[];
  readonly processes: number;
  readonly bytes: number;
  readonly done: number;
  readonly active: number;
  /** ms since the epoch. */
  readonly oldest: number;
  /** When the last of them is expected back; null: nobody can tell. */
  readonly readyAt: number | null;
  /** Of a tape: the drive that has it, else where it is. */
  readonly place: string | null;
  readonly note: string | null;
}

/** The groups that a request is in: several when several users or programs wait for it. Jobs are users and programs too. */
export function groupNames(request: Request, by: Group['by']): readonly string[] {
  if (by === 'tape') return [request.volume ?? ''];
  if (request.waiters.length === 0) return ['job'];
  return [...new Set(request.waiters.map(({ uid, exe }) => (by === 'user' ? String(uid) : programOf(exe))))];
}

type Media = Pick<Mirror, 'requests' | 'drives' | 'volumes'>;

/** Those with the oldest request first. */
export function groupsOf(mirror: Media, by: Group['by']): Group[] {
  const members = new Map<string, Request[]>();
  for (const request of mirror.requests.values()) {
    if (isFailed(request)) continue;
    for (const name of groupNames(request, by)) {
      const present = members.get(name);
      if (present === undefined) members.set(name, [request]);
      else present.push(request);
    }
  }
  return [...members].map(([name, requests]) => groupOf(mirror, by, name, requests)).sort((a, b) => a.oldest - b.oldest);
}

function groupOf(mirror: Media, by: Group['by'], name: string, requests: readonly Request[]): Group {
  let [processes, bytes, done, active, oldest] = [0, 0, 0, 0, Infinity];
  let readyAt: number | null = 0;
  for (const request of requests) {
    processes += request.waiters.length;
    bytes += request.size;
    done += request.done;
    if (request.state !== 'queued') active += 1;
    oldest = Math.min(oldest, request.askedAt);
    readyAt = readyAt === null || request.readyAt === null ? null : Math.max(readyAt, request.readyAt);
  }
  const drive = by === 'tape' ? [...mirror.drives.values()].find(({ barcode }) => barcode === name) : undefined;
  const volume = by === 'tape' ? mirror.volumes.get(name) : undefined;
  const note = by === 'tape' ? (volume?.reason ?? requests.find(({ reason }) => reason !== null)?.reason ?? null) : null;
  return { by, name, requests, processes, bytes, done, active, oldest, readyAt, place: drive?.name ?? volume?.location ?? null, note };
}

const names: Readonly<Record<Group['by'], Column<Group>>> = {
  tape: { title: 'TAPE', width: 9, value: (row) => row.name },
  user: { title: 'USER', width: 12, value: (row, moment) => whose(row, moment) },
  program: { title: 'PROGRAM', width: 18, value: (row) => row.name },
};

export const whose = (group: Group, { userName }: Moment): string => (group.by === 'user' && group.name !== 'job' ? userName(Number(group.name)) : group.name);

const columns: readonly Column<Group>[] = [
  { title: 'FILES', width: 7, right: true, value: (row) => row.requests.length },
  { title: 'ACTIVE', width: 6, right: true, from: 76, value: (row) => row.active },
  { title: 'BLOCKED', width: 7, right: true, value: (row) => row.processes },
  { title: 'SIZE', width: 8, right: true, value: (row) => formatSize(row.bytes), rank: (row) => row.bytes },
  { title: 'OLDEST', width: 7, right: true, value: (row, { now }) => since(row.oldest, now), rank: (row) => -row.oldest },
  { title: 'ALL BY', width: 7, right: true, value: (row, { now }) => until(row.readyAt, now), rank: (row) => row.readyAt ?? Infinity },
];

const place: Column<Group> = { title: 'WHERE', width: 10, value: (row) => row.place };
const note: Column<Group> = { title: 'NOTE', width: 6, grows: true, value: (row) => row.note, style: () => 'warn' };

function listing(by: Group['by']): AnyListing {
  return erased<Group>({
    columns: [names[by], ...columns, ...(by === 'tape' ? [place] : []), note],
    rows: (mirror) => groupsOf(mirror, by),
    keyOf: (row) => row.name,
    detail: (row, mirror, moment) => [
      [by, whose(row, moment)],
      ['files', `${row.requests.length}, ${row.active} of them under way; ${formatSize(row.done)} of ${formatSize(row.bytes)} are back`],
      ['processes', String(row.processes)],
      ['oldest', `${since(row.oldest, moment.now)} ago`],
      ...(by === 'tape' ? ([['volume', volumeInWords(row, mirror)]] as const) : []),
      ...(row.note === null ? [] : ([['note', shown(row.note)]] as const)),
    ],
    none: 'no recall is waiting',
  });
}

function volumeInWords({ name, place: where }: Group, mirror: Mirror): string {
  const volume = mirror.volumes.get(name);
  if (volume === undefined) return 'not known';
  return `${volume.state}, pool ${shown(volume.pool)}, ${shown(where)}, ${formatSize(volume.live)} live of ${formatSize(volume.used)}`;
}

export const groupListings: Readonly<Record<Group['by'], AnyListing>> = { tape: listing('tape'), user: listing('user'), program: listing('program') };
