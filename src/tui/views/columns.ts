/** The columns that a screen has room for, and their cells. */
import type { AnyListing, Column } from '../listing.ts';

export interface Placed {
  readonly column: Column<unknown>;
  /** Its number in the listing. */
  readonly index: number;
  readonly at: number;
  readonly width: number;
}

/** Two cells apart; the column that grows takes what is left. Where even that is too little, the last ones are left out. */
export function placeColumns({ columns }: AnyListing, width: number): Placed[] {
  let shown = columns.map((column, index) => ({ column, index })).filter(({ column }) => (column.from ?? 0) <= width);
  const needed = (): number => shown.reduce((sum, { column }) => sum + column.width + gap, -gap);
  while (shown.length > 1 && needed() > width) {
    const last = shown.findLastIndex(({ column }) => column.grows !== true);
    shown = shown.filter((_, index) => index !== last);
  }
  const spare = Math.max(0, width - needed());
  let at = 0;
  return shown.map(({ column, index }) => {
    const cells = Math.min(width - at, column.width + (column.grows === true ? spare : 0));
    const placed = { column, index, at, width: cells };
    at += cells + gap;
    return placed;
  });
}

const gap = 2;
