/** How much is wanted of each volume, for who watches the queue from far: no row a request, no estimate of when. */
import type { RecallRequest, RequestState } from './requests.ts';

export interface VolumeDepth {
  readonly states: Record<RequestState, number>;
  bytes: number;
  /** When its oldest request was made, ms since the epoch. */
  oldestAt: number;
}

export interface QueueDepths {
  readonly volumes: ReadonlyMap<string, VolumeDepth>;
  /** Readers that wait. */
  readonly waiters: number;
  /** Requests whose volume somebody has to fetch from the shelf. */
  readonly onShelf: number;
}

type Counted = Pick<RecallRequest, 'copies' | 'createdAt' | 'record' | 'state' | 'waiters'>;

export function queueDepths(requests: Iterable<Counted>, onShelf: number): QueueDepths {
  const volumes = new Map<string, VolumeDepth>();
  let waiters = 0;
  for (const { copies, createdAt, record, state, waiters: its } of requests) {
    const volume = copies[0]?.volume ?? record.volume;
    let depth = volumes.get(volume);
    if (depth === undefined) volumes.set(volume, (depth = { states: { queued: 0, loading: 0, locating: 0, restoring: 0 }, bytes: 0, oldestAt: createdAt }));
    depth.states[state] += 1;
    depth.bytes += record.size;
    depth.oldestAt = Math.min(depth.oldestAt, createdAt);
    waiters += its.size;
  }
  return { volumes, waiters, onShelf };
}
