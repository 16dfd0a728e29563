/** Which volume gets the next drive, and when one has to give its drive back. */

/** A volume on which something is queued. */
export interface Candidate {
  readonly volume: string;
  /** Of its most urgent request. */
  readonly priority: number;
  /** When its most urgent request came, ms. */
  readonly oldest: number;
  readonly waiters: number;
  /** It sits in a drive: no move is needed. */
  readonly loaded: boolean;
  /** When it last gave its drive back, ms; null: not since its requests came. */
  readonly leftAt: number | null;
  /** It had to give its drive back to others that still wait. */
  readonly yielded: boolean;
}

/** Seconds of waiting that a waiter more is worth, up to a minute of them. */
const waiterSeconds = 0.5;
const mostWaiterSeconds = 60;

/** The most deserving first: by priority, then by age, waiters and what its mount costs, in seconds. */
export function ranked<C extends Candidate>(candidates: readonly C[], now: number, mountSeconds: number): C[] {
  const worth = (each: C): number =>
    (now - Math.max(each.oldest, each.leftAt ?? 0)) / 1000 + Math.min(mostWaiterSeconds, each.waiters * waiterSeconds) - (each.loaded ? 0 : mountSeconds);
  return [...candidates].sort((a, b) => b.priority - a.priority || Number(a.yielded) - Number(b.yielded) || worth(b) - worth(a));
}

/** A volume that is being read. */
export interface Turn {
  readonly priority: number;
  /** When it began, ms. */
  readonly since: number;
}

/** True when one of those that wait for a drive is more urgent, or as urgent and the turn has lasted `turnMs`. Asked between two containers. */
export function mustLeave(turn: Turn, waiting: readonly Pick<Candidate, 'priority'>[], now: number, turnMs: number): boolean {
  const isLong = turnMs > 0 && now - turn.since >= turnMs;
  return waiting.some(({ priority }) => priority > turn.priority || (isLong && priority === turn.priority));
}
