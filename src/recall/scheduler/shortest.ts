/** A good tour over a few thousand places: always the nearest one next, then short pieces moved to where they cost less. */
import type { Travel } from './travel.ts';

/** SLTF: shortest locate time first. */
export function shortestFirst(travel: Travel): number[] {
  const left = Array.from({ length: travel.count }, (_, node) => node);
  const tour: number[] = [];
  let at = -1;
  while (left.length > 0) {
    let best = 0;
    let least = Infinity;
    for (let i = 0; i < left.length; i += 1) {
      const seconds = travel.cost(at, left[i]!);
      if (seconds < least) {
        least = seconds;
        best = i;
      }
    }
    at = left[best]!;
    left[best] = left.at(-1)!;
    left.pop();
    tour.push(at);
  }
  return tour;
}

const longestPiece = 3;
const nearestKept = 12;
const mostPasses = 8;
/** Less is not worth a move. */
const epsilon = 1e-6;

/** Or-opt: moves pieces of up to three places behind one of the places that they are nearest to, for as long as that helps. */
export function improve(tour: readonly number[], travel: Travel): number[] {
  const order = [...tour];
  const nearest = nearestBefore(travel);
  const place = new Int32Array(order.length);
  const number = (): void => order.forEach((node, i) => (place[node] = i));
  number();
  for (let pass = 0; pass < mostPasses; pass += 1) {
    let moved = false;
    for (let at = 0; at < order.length; at += 1) {
      for (let length = 1; length <= longestPiece && at + length <= order.length; length += 1) {
        const to = betterPlace(order, place, nearest, travel, at, length);
        if (to === null) continue;
        const piece = order.splice(at, length);
        order.splice(to > at ? to - length : to, 0, ...piece);
        number();
        moved = true;
        break;
      }
    }
    if (!moved) break;
  }
  return order;
}

/** The index before which the piece at `at` costs less than where it is, or null. */
function betterPlace(order: readonly number[], place: Int32Array, nearest: readonly (readonly number[])[], travel: Travel, at: number, length: number): number | null {
  const edge = (from: number, to: number | undefined): number => (to === undefined ? 0 : travel.cost(from, to));
  const before = at === 0 ? -1 : order[at - 1]!;
  const first = order[at]!;
  const last = order[at + length - 1]!;
  const after = order[at + length];
  const gain = edge(before, first) + edge(last, after) - edge(before, after);
  if (gain <= epsilon) return null;
  let best: number | null = null;
  let most = epsilon;
  for (const node of nearest[first]!) {
    const behind = node < 0 ? 0 : place[node]! + 1;
    if (behind >= at && behind <= at + length) continue;
    const next = order[behind];
    const saved = gain - (edge(node, first) + edge(last, next) - edge(node, next));
    if (saved > most) {
      most = saved;
      best = behind;
    }
  }
  return best;
}

/** For each place those from which it is reached the quickest; -1 is the beginning. */
function nearestBefore(travel: Travel): number[][] {
  return Array.from({ length: travel.count }, (_, to) => {
    const nodes: number[] = [];
    const costs: number[] = [];
    for (let from = -1; from < travel.count; from += 1) {
      if (from === to) continue;
      const seconds = travel.cost(from, to);
      if (nodes.length === nearestKept && seconds >= costs.at(-1)!) continue;
      let i = nodes.length;
      while (i > 0 && costs[i - 1]! > seconds) i -= 1;
      nodes.splice(i, 0, from);
      costs.splice(i, 0, seconds);
      if (nodes.length > nearestKept) {
        nodes.pop();
        costs.pop();
      }
    }
    return nodes;
  });
}
