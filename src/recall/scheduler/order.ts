/** In which order the stretches wanted of one volume cost the least time (docs/decisions/0012-recall-order.md). */
import { cheapest, elevator } from './elevator.ts';
import { improve, shortestFirst } from './shortest.ts';
import { coalesce, Travel, type Geometry, type Stretch } from './travel.ts';

/** Beyond this a tour in which each is compared with each takes too long. */
const mostCompared = 2000;
/** Up to an eighth of newcomers are put where they fit best into the plan that there is. */
const newcomersShare = 8;

/** What the head is before, then what is behind it. */
const ascending = (stretches: readonly Stretch[], here: number): number[] =>
  stretches.map((_, index) => index).sort((a, b) => Number(stretches[a]!.first < here) - Number(stretches[b]!.first < here) || stretches[a]!.first - stretches[b]!.first);

/** Indexes of `stretches` in the order in which to read them from block `here` on. Never dearer than ascending order. */
export function planOrder(stretches: readonly Stretch[], here: number, geometry: Geometry | null): number[] {
  if (geometry === null || stretches.length < 2) return ascending(stretches, here);
  const groups = coalesce(stretches, geometry, here);
  const runs = groups.map((group) => ({ first: stretches[group[0]!]!.first, last: Math.max(...group.map((index) => stretches[index]!.last)) }));
  const travel = new Travel(runs, here, geometry);
  const tours = [runs.map((_, index) => index), elevator(travel)];
  if (runs.length <= mostCompared) tours.push(improve(shortestFirst(travel), travel));
  return cheapest(tours, travel).flatMap((run) => groups[run]!);
}

/** The order after newcomers: `planned` is in order already. Few are put in between, many are a reason to plan anew. */
export function replan<S extends Stretch>(planned: readonly S[], newcomers: readonly S[], here: number, geometry: Geometry | null): S[] {
  const all = [...planned, ...newcomers];
  if (geometry === null || newcomers.length * newcomersShare > planned.length) return planOrder(all, here, geometry).map((index) => all[index]!);
  const travel = new Travel(all, here, geometry);
  const order = planned.map((_, index) => index);
  newcomers.forEach((_, i) => order.splice(cheapestGap(order, planned.length + i, travel), 0, planned.length + i));
  return order.map((index) => all[index]!);
}

/** The index before which `node` adds the least. */
function cheapestGap(order: readonly number[], node: number, travel: Travel): number {
  let best = order.length;
  let least = Infinity;
  for (let i = 0; i <= order.length; i += 1) {
    const before = i === 0 ? -1 : order[i - 1]!;
    const after = order[i];
    const added = travel.cost(before, node) + (after === undefined ? 0 : travel.cost(node, after) - travel.cost(before, after));
    if (added >= least) continue;
    least = added;
    best = i;
  }
  return best;
}
