/** Recall requests as operators see them: those under way, and those that failed lately. */
import type { Parking } from './parking.ts';
import type { RecallRequest } from './requests.ts';
import type { VolumeService } from './volume-service.ts';

/** One line of `hsm queue --json`. */
export interface QueueRow {
  readonly id: string;
  readonly path: string;
  readonly state: string;
  readonly volume: string | null;
  readonly container: number | null;
  readonly size: number;
  readonly done: number;
  /** 1 is next on its volume; null while it is being restored or has failed. */
  readonly position: number | null;
  /** Seconds, where the drive model or a measured rate tells. */
  readonly eta: number | null;
  /** Seconds since it was asked for. */
  readonly age: number;
  /** The same as a point in time, ISO 8601. */
  readonly askedAt: string;
  readonly priority: number;
  readonly reason: string | null;
  readonly waiters: readonly { readonly pid: number; readonly uid: number; readonly exe: string }[];
}

/** Requests in the order in which they will be served: first those under way. */
export function queueRows(requests: Iterable<RecallRequest>, service: Pick<VolumeService, 'scheduler' | 'etas'>, parking: Parking): QueueRow[] {
  const rows: QueueRow[] = [];
  const listed = new Set<RecallRequest>();
  const etas = service.etas();
  const { entries, pauses } = service.scheduler;
  for (const { volume, queue } of entries) {
    const paused = pauses.ofVolume(volume);
    queue.inOrder().forEach((request, index) => {
      listed.add(request);
      rows.push({ ...rowOf(request, volume, index + 1, etas.get(request) ?? null), ...(paused === null ? {} : { reason: paused }) });
    });
  }
  for (const request of parking) {
    listed.add(request);
    rows.push({ ...rowOf(request, null, null, null), reason: parking.reasonOf(request) });
  }
  const underWay = [...requests].filter((request) => !listed.has(request));
  return [...underWay.map((request) => rowOf(request, null, null, etas.get(request) ?? null)), ...rows];
}

/** `eta`: seconds; null: nobody can tell. */
export function rowOf(request: RecallRequest, volume: string | null, position: number | null, eta: number | null): QueueRow {
  const copy = request.copies[0];
  return {
    id: `r${request.id}`,
    path: request.path,
    state: request.state,
    volume: volume ?? copy?.volume ?? request.record.volume,
    container: copy?.container ?? request.record.container,
    size: request.record.size,
    done: request.done,
    position,
    eta: eta === null ? null : Math.ceil(eta),
    age: Math.floor((Date.now() - request.createdAt) / 1000),
    askedAt: new Date(request.createdAt).toISOString(),
    priority: request.priority,
    reason: request.reason ?? (request.ahead === null ? null : `recalled ahead of user ${request.ahead.uid}`),
    waiters: [...request.waiters.values()].map(({ pid, uid, exe }) => ({ pid, uid, exe })),
  };
}
