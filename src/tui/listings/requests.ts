/** Requests, those that failed, and the processes that wait for them. */
import { formatDuration, formatSize } from '../../units.ts';
import { type Column, erased, type Listing, type Moment, shown, shownPath } from '../listing.ts';
import type { Mirror, Request } from '../mirror.ts';
import type { Style } from '../text.ts';

export type Waiter = Request['waiters'][number];

export const isFailed = (request: Request): boolean => request.state === 'failed';

const stages: Readonly<Record<string, number>> = { restoring: 0, locating: 1, loading: 2, queued: 3, failed: 4 };

/** What is under way first, then as each volume's queue stands. */
export function inQueueOrder(requests: readonly Request[]): Request[] {
  return [...requests].sort(
    (a, b) =>
      (stages[a.state] ?? 3) - (stages[b.state] ?? 3) ||
      (a.volume ?? '').localeCompare(b.volume ?? '') ||
      (a.position ?? 0) - (b.position ?? 0) ||
      a.askedAt - b.askedAt,
  );
}

export const stateStyle = ({ state, reason }: Request): Style => (state === 'failed' ? 'bad' : state === 'queued' ? (reason === null ? 'plain' : 'warn') : 'busy');

export const programOf = (exe: string | null): string => shown(exe?.split('/').at(-1) ?? null);

/** `cat[4711] anna`, and how many more. */
export function whoWaits({ waiters }: Request, { userName }: Moment): string {
  const [first] = waiters;
  if (first === undefined) return 'job';
  const more = waiters.length > 1 ? ` +${waiters.length - 1}` : '';
  return `${programOf(first.exe)}[${first.pid}] ${userName(first.uid)}${more}`;
}

export const percent = (done: number, size: number): string => (size === 0 ? '-' : `${Math.floor((100 * done) / size)}%`);
export const until = (readyAt: number | null, now: number): string => (readyAt === null ? '-' : formatDuration(Math.max(0, (readyAt - now) / 1000)));
export const since = (at: number, now: number): string => formatDuration((now - at) / 1000);

const id: Column<Request> = { title: 'ID', width: 7, value: (row) => row.id, rank: (row) => Number(row.id.slice(1)) };
const state: Column<Request> = { title: 'STATE', width: 9, value: (row) => row.state, style: stateStyle };
const age: Column<Request> = { title: 'AGE', width: 7, right: true, value: (row, { now }) => since(row.askedAt, now), rank: (row) => -row.askedAt };
const volume: Column<Request> = { title: 'VOLUME', width: 8, value: (row) => row.volume };
const path: Column<Request> = { title: 'PATH', width: 12, grows: true, keepEnd: true, value: shownPath };
const size: Column<Request> = { title: 'SIZE', width: 8, right: true, from: 110, value: (row) => formatSize(row.size), rank: (row) => row.size };

export const requests = erased<Request>({
  columns: [
    id,
    age,
    { title: 'WHO', width: 18, from: 78, value: whoWaits },
    path,
    state,
    { title: 'DONE', width: 4, right: true, from: 90, value: (row) => (row.done === 0 ? null : percent(row.done, row.size)), rank: (row) => (row.size === 0 ? 0 : row.done / row.size) },
    size,
    volume,
    { title: 'POS', width: 5, right: true, value: (row) => row.position, rank: (row) => row.position ?? 0 },
    { title: 'ETA', width: 7, right: true, value: (row, { now }) => until(row.readyAt, now), rank: (row) => row.readyAt ?? Infinity },
    { title: 'PRI', width: 3, right: true, from: 120, value: (row) => row.priority },
    { title: 'WHY', width: 24, from: 160, value: (row) => row.reason },
  ],
  rows: (mirror) => inQueueOrder([...mirror.requests.values()].filter((row) => !isFailed(row))),
  keyOf: (row) => row.id,
  detail: requestDetail,
  none: 'no recall is waiting',
});

export const failed = erased<Request>({
  columns: [id, age, { title: 'WHO', width: 18, from: 78, value: whoWaits }, path, size, volume, { title: 'WHY', width: 22, value: (row) => row.reason, style: () => 'bad' }],
  rows: (mirror) => [...mirror.requests.values()].filter(isFailed).sort((a, b) => b.askedAt - a.askedAt),
  keyOf: (row) => row.id,
  detail: requestDetail,
  none: 'no recall failed lately',
});

/** One process that waits, for one file. */
export interface Blocked {
  readonly request: Request;
  readonly waiter: Waiter;
}

export function blockedProcesses(mirror: Pick<Mirror, 'requests'>): Blocked[] {
  const all: Blocked[] = [];
  for (const request of mirror.requests.values()) if (!isFailed(request)) for (const waiter of request.waiters) all.push({ request, waiter });
  return all.sort((a, b) => a.request.askedAt - b.request.askedAt || a.waiter.pid - b.waiter.pid);
}

export const blocked = erased<Blocked>({
  columns: [
    { title: 'PID', width: 8, right: true, value: ({ waiter }) => waiter.pid, rank: ({ waiter }) => waiter.pid },
    { title: 'USER', width: 10, value: ({ waiter }, { userName }) => userName(waiter.uid) },
    { title: 'PROGRAM', width: 12, value: ({ waiter }) => programOf(waiter.exe) },
    { title: 'WAITS', width: 7, right: true, value: ({ request }, { now }) => since(request.askedAt, now), rank: ({ request }) => -request.askedAt },
    { title: 'ETA', width: 7, right: true, value: ({ request }, { now }) => until(request.readyAt, now), rank: ({ request }) => request.readyAt ?? Infinity },
    { title: 'POS', width: 5, right: true, from: 100, value: ({ request }) => request.position, rank: ({ request }) => request.position ?? 0 },
    { title: 'STATE', width: 9, from: 76, value: ({ request }) => request.state, style: ({ request }) => stateStyle(request) },
    { title: 'VOLUME', width: 8, from: 90, value: ({ request }) => request.volume },
    { title: 'REQUEST', width: 7, from: 120, value: ({ request }) => request.id },
    { title: 'PATH', width: 10, grows: true, keepEnd: true, value: ({ request }) => shownPath(request) },
  ],
  rows: blockedProcesses,
  keyOf: ({ request, waiter }) => `${request.id} ${waiter.pid}`,
  detail: ({ request, waiter }, mirror, moment) => [
    ['process', `${waiter.pid} ${shown(waiter.exe)} of ${moment.userName(waiter.uid)} (uid ${waiter.uid})`],
    ...requestDetail(request, mirror, moment),
  ],
  none: 'no process waits for data',
} satisfies Listing<Blocked>);

function requestDetail(row: Request, mirror: Mirror, moment: Moment): (readonly [string, string])[] {
  const drive = [...mirror.drives.values()].find(({ barcode }) => barcode !== null && barcode === row.volume);
  const place = drive?.name ?? mirror.volumes.get(row.volume ?? '')?.location ?? null;
  return [
    ['path', shownPath(row)],
    ['state', `${row.state}${row.reason === null ? '' : `: ${shown(row.reason)}`}`],
    ['asked', `${since(row.askedAt, moment.now)} ago, priority ${row.priority}`],
    ['on tape', `${shown(row.volume)}${place === null ? '' : ` in ${place}`}, container ${shown(row.container)}`],
    ['progress', `${formatSize(row.done)} of ${formatSize(row.size)} (${percent(row.done, row.size)})${row.position === null ? '' : `, number ${row.position} on its tape`}, ready in ${until(row.readyAt, moment.now)}`],
    ...row.waiters.map((waiter) => ['waits', `${waiter.pid} ${shown(waiter.exe)} of ${moment.userName(waiter.uid)}`] as const),
  ];
}
