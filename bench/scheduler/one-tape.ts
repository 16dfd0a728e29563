/** A loaded tape with all its requests there at once: what each order costs. */
import { approachSeconds } from '../../src/recall/scheduler/travel.ts';
import { tapeOrder, VolumeQueue } from '../../src/recall/scheduler/volume-queue.ts';
import { endOf } from '../../src/recall/scheduler/eta.ts';
import { geometry, type SimulatedRequest } from './requests.ts';

export interface Cost {
  /** Seconds each, in the order of service. */
  readonly locate: readonly number[];
  readonly wait: readonly number[];
}

export const policies = {
  FIFO: (requests: readonly SimulatedRequest[]) => [...requests],
  sort: (requests: readonly SimulatedRequest[]) => [...requests].sort(tapeOrder),
  ours: (requests: readonly SimulatedRequest[]) => {
    const queue = new VolumeQueue<SimulatedRequest>();
    queue.placed(0, geometry);
    for (const request of requests) queue.add(request);
    const served: SimulatedRequest[] = [];
    for (let batch = queue.take(512); batch.length > 0; batch = queue.take(512)) served.push(...batch);
    return served;
  },
} as const;

export type Policy = keyof typeof policies;

/** The tape is at its beginning. Whatever the order, near gaps are read through where that is quicker. */
export function costOf(policy: Policy, requests: readonly SimulatedRequest[]): Cost {
  const locate: number[] = [];
  const wait: number[] = [];
  let head = 0;
  let now = 0;
  for (const request of policies[policy](requests)) {
    const [copy] = request.copies;
    const first = copy!.startBlock + Math.floor(copy!.offset / 2 ** 20);
    const seconds = approachSeconds(geometry, head, first);
    now += seconds + copy!.length / geometry.model.rate;
    locate.push(seconds);
    wait.push(now);
    head = endOf(request);
  }
  return { locate, wait };
}
