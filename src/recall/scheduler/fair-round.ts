/** Whose requests take part in the present round: with several owners each has the same share, so that one with many keeps nobody waiting. */

export interface Owned {
  readonly owner: string;
}

/** `requests` in the order in which they came. */
export function fairRound<T extends Owned>(requests: Iterable<T>, share: number): Set<T> {
  const all = [...requests];
  if (new Set(all.map(({ owner }) => owner)).size < 2) return new Set(all);
  const given = new Map<string, number>();
  const round = new Set<T>();
  for (const request of all) {
    const count = given.get(request.owner) ?? 0;
    if (count >= share) continue;
    given.set(request.owner, count + 1);
    round.add(request);
  }
  return round;
}
