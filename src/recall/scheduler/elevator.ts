/** Away along all the wraps that run away from the beginning, then back along all those that run back. */
import type { Travel } from './travel.ts';

/** From where the head is, turning first at the far end or at the near one, whichever is cheaper. */
export function elevator(travel: Travel): number[] {
  const nodes = Array.from({ length: travel.count }, (_, node) => node);
  const lpos = (node: number): number => travel.start(node).lpos;
  const isAway = (node: number): boolean => travel.start(node).wrap % 2 === 0;
  const away = nodes.filter(isAway).sort((a, b) => lpos(a) - lpos(b));
  const back = nodes.filter((node) => !isAway(node)).sort((a, b) => lpos(b) - lpos(a));
  const here = travel.here.lpos;
  const tours = [
    [...away, ...back],
    [...away.filter((node) => lpos(node) >= here), ...back, ...away.filter((node) => lpos(node) < here)],
    [...back.filter((node) => lpos(node) <= here), ...away, ...back.filter((node) => lpos(node) > here)],
  ];
  return cheapest(tours, travel);
}

export function cheapest(tours: readonly number[][], travel: Travel): number[] {
  let best: number[] = [];
  let least = Infinity;
  for (const tour of tours) {
    const seconds = travel.total(tour);
    if (seconds >= least) continue;
    least = seconds;
    best = tour;
  }
  return best;
}
