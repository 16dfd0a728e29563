/** Where the rows come from that `watch` compares. */
import type { EventRow } from '../catalog/model.ts';
import type { QueueRow } from '../recall/queue-rows.ts';
import type { Daemon } from './daemon.ts';
import { driveStates, queueRowsOf } from './operator-requests.ts';
import type { EventLine } from './protocol.ts';
import { statusOf } from './status.ts';
import { locatedVolumes } from './tapes.ts';
import type { Row, WatchSources } from './watch.ts';

const newestJobs = 100;
const newestEvents = 200;

export function watchSources(daemon: Daemon): WatchSources {
  const { catalog, jobs } = daemon;
  return {
    status: async () => [{ id: 'status', ...withoutMedia(await statusOf(daemon)) }],
    queue: () => queueRowsOf(daemon, null).map(watchedRow),
    drives: () => driveStates(daemon).map((drive) => ({ ...drive })),
    volumes: async () => (await locatedVolumes(daemon)).map((volume) => ({ ...volume })),
    jobs: async () => (await jobs.lines(newestJobs)).map((job) => ({ ...job })),
    events: async () => (await catalog.events(newestEvents)).map((event) => ({ ...eventLine(event) })),
  };
}

/** Drives and volumes are topics of their own. */
const withoutMedia = ({ drives: _drives, volumes: _volumes, ...rest }: Awaited<ReturnType<typeof statusOf>>): Row => rest;

/** Points in time in place of durations, which would change all the time. */
function watchedRow({ age: _age, eta, ...row }: QueueRow): Row {
  return { ...row, readyAt: eta === null ? null : new Date(Date.now() + eta * 1000).toISOString() };
}

export function eventLine({ id, at, kind, uid, data }: EventRow): EventLine {
  const parsed = JSON.parse(data) as unknown;
  const pid = typeof parsed === 'object' && parsed !== null && 'pid' in parsed && typeof parsed.pid === 'number' ? parsed.pid : null;
  return { id, at: new Date(at).toISOString(), kind, uid, pid, data: parsed };
}
