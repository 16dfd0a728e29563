/** When each request will be served: the scheduler's own rules, played forward on the drive model. */
import { ranked, type Candidate } from './choice.ts';
import type { Pace } from './pace.ts';
import { approachSeconds, blockSize, type Geometry } from './travel.ts';
import type { Queued } from './volume-queue.ts';

/** A volume as it is now. */
export interface Outlook<T> extends Candidate {
  /** Being read, or loaded to be read. */
  readonly reading: boolean;
  /** Until it is loaded; 0 when it is. Only of one that is being read. */
  readonly loadSeconds: number;
  /** What is left of its turn. */
  readonly turnSeconds: number;
  readonly geometry: Geometry | null;
  /** The block that the head was before when `taken` was begun. */
  readonly here: number;
  /** What is being restored, and for how many seconds it has been. */
  readonly taken: readonly T[];
  readonly takenSeconds: number;
  /** What is queued, in order. */
  readonly queued: readonly T[];
}

interface Lane<T> extends Outlook<T> {
  /** When each is done, in seconds of reading; ascending. */
  readonly ends: readonly { readonly request: T; readonly at: number }[];
  consumed: number;
  next: number;
}

/** Seconds from now; what nobody can tell is left out. `turnSeconds`: 0 for turns without end. */
export function etas<T extends Queued>(volumes: readonly Outlook<T>[], drives: number, turnSeconds: number, now: number, pace: Pace): Map<T, number> {
  const found = new Map<T, number>();
  const lanes = volumes.map((volume): Lane<T> => ({ ...volume, ends: endsOf(volume, pace), consumed: 0, next: 0 }));
  const pending = ranked(lanes.filter(({ reading }) => !reading), now, pace.mountSeconds);
  /** When each drive is free. */
  const free: number[] = [];
  const serve = (lane: Lane<T>, start: number, limit: number): void => {
    const rest = (lane.ends.at(-1)?.at ?? 0) - lane.consumed;
    const isLast = pending.length === 0 || turnSeconds === 0 || rest <= Math.max(limit, 1);
    const slice = isLast ? rest : Math.max(limit, 1);
    for (let end = lane.ends[lane.next]; end !== undefined && (isLast || end.at <= lane.consumed + slice); end = lane.ends[lane.next]) {
      found.set(end.request, Math.max(0, start + end.at - lane.consumed));
      lane.next += 1;
    }
    lane.consumed += slice;
    if (lane.next < lane.ends.length) comeAgain(lane, pending);
    free.push(start + slice);
  };
  for (const lane of lanes) if (lane.reading) serve(lane, lane.loadSeconds, lane.turnSeconds);
  while (free.length < drives) free.push(0);
  for (let lane = pending.shift(); lane !== undefined; lane = pending.shift()) {
    free.sort((a, b) => a - b);
    const start = free.shift() ?? 0;
    serve(lane, start + (lane.loaded && lane.consumed === 0 && start === 0 ? 0 : pace.mountSeconds), turnSeconds);
  }
  return found;
}

/** Behind all that are as urgent. */
function comeAgain<T>(lane: Lane<T>, pending: Lane<T>[]): void {
  const place = pending.findIndex(({ priority }) => priority < lane.priority);
  pending.splice(place < 0 ? pending.length : place, 0, lane);
}

function endsOf<T extends Queued>({ geometry, here, taken, takenSeconds, queued }: Outlook<T>, pace: Pace): { request: T; at: number }[] {
  const ends: { request: T; at: number }[] = [];
  let head = here;
  let seconds = -takenSeconds;
  const all = [...taken, ...queued];
  for (const [i, request] of all.entries()) {
    const took = geometry === null ? pace.secondsFor(lengthOf(request)) : pace.corrected(readSeconds(geometry, head, request));
    if (took === null) break;
    seconds += took;
    head = endOf(request);
    // What should be through and is not cannot take much longer.
    if (i === taken.length - 1) seconds = Math.max(seconds, 0);
    ends.push({ request, at: Math.max(seconds, 0) });
  }
  return ends;
}

/** By the model: to its first block, and through it. */
export function readSeconds(geometry: Geometry, here: number, request: Queued): number {
  const first = startOf(request);
  // Two files may share a block.
  return approachSeconds(geometry, here > first && here - first <= 1 ? first : here, first) + lengthOf(request) / geometry.model.rate;
}

const lengthOf = ({ copies }: Queued): number => copies[0]?.length ?? 0;

const startOf = ({ copies }: Queued): number => (copies[0]?.startBlock ?? 0) + Math.floor((copies[0]?.offset ?? 0) / blockSize);

/** The block behind it. */
export const endOf = (request: Queued): number =>
  (request.copies[0]?.startBlock ?? 0) + Math.floor(((request.copies[0]?.offset ?? 0) + Math.max(lengthOf(request), 1) - 1) / blockSize) + 1;
