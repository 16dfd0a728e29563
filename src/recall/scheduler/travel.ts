/** What it costs to get from one stretch of a tape to the next, and which stretches are better read as one. */
import { locateSeconds, type PhysicalPosition, type TapeModel } from '../../library/timing.ts';

/** Blocks of a volume that are read without a stop: from `first` up to and with `last`. */
export interface Stretch {
  readonly first: number;
  readonly last: number;
}

/** Where the blocks of one volume lie along its tape, and how its drive moves. */
export interface Geometry {
  readonly model: TapeModel;
  readonly position: (block: number) => PhysicalPosition;
}

/** Bytes of a tape block (docs/tape-format.md). */
export const blockSize = 2 ** 20;

/** Seconds from before block `from` to before block `to`, by whichever is quicker: locating, or reading what lies between. */
export function approachSeconds({ model, position }: Geometry, from: number, to: number): number {
  if (from === to) return 0;
  const locate = locateSeconds(model, position(from), position(to));
  return to > from ? Math.min(locate, ((to - from) * blockSize) / model.rate) : locate;
}

/** True where the tape passes what lies between sooner than it locates over it: gaps of up to 4-5 GB on LTO-9. */
export const isReadThrough = ({ model, position }: Geometry, from: number, to: number): boolean =>
  to >= from && ((to - from) * blockSize) / model.rate <= locateSeconds(model, position(from), position(to));

/**
 * Ascending groups of indexes: within a group each stretch is reached sooner by reading on than by locating. None goes over block `here`: the head
 * need not go back for what is before it.
 */
export function coalesce(stretches: readonly Stretch[], geometry: Geometry, here: number): number[][] {
  const ascending = stretches.map((_, index) => index).sort((a, b) => stretches[a]!.first - stretches[b]!.first);
  const groups: number[][] = [];
  let end = -Infinity;
  for (const index of ascending) {
    const { first, last } = stretches[index]!;
    const group = groups.at(-1);
    const crosses = group !== undefined && first >= here && stretches[group[0]!]!.first < here;
    if (group !== undefined && !crosses && (first <= end || isReadThrough(geometry, end, first))) group.push(index);
    else groups.push([index]);
    end = Math.max(end, last + 1);
  }
  return groups;
}

/**
 * The cost of a tour over `stretches` that begins at block `here`, as numbers: node i is stretch i, node -1 the beginning. From the end of
 * one to the beginning of the next.
 */
export class Travel {
  readonly count: number;
  readonly #model: TapeModel;
  readonly #starts: readonly PhysicalPosition[];
  readonly #ends: readonly PhysicalPosition[];
  readonly #here: PhysicalPosition;

  constructor(stretches: readonly Stretch[], here: number, { model, position }: Geometry) {
    this.count = stretches.length;
    this.#model = model;
    this.#starts = stretches.map(({ first }) => position(first));
    this.#ends = stretches.map(({ last }) => position(last + 1));
    this.#here = position(here);
  }

  /** Seconds. */
  cost(from: number, to: number): number {
    return locateSeconds(this.#model, from < 0 ? this.#here : this.#ends[from]!, this.#starts[to]!);
  }

  start(node: number): PhysicalPosition {
    return this.#starts[node]!;
  }

  get here(): PhysicalPosition {
    return this.#here;
  }

  total(tour: readonly number[]): number {
    let seconds = 0;
    for (let i = 0; i < tour.length; i += 1) seconds += this.cost(i === 0 ? -1 : tour[i - 1]!, tour[i]!);
    return seconds;
  }
}
