/** Which rows a list shows: filtered, within a group, sorted. */
import { type AnyListing, type Moment, shown } from './listing.ts';
import { groupNames } from './listings/groups.ts';
import { listingOf } from './listings/index.ts';
import type { Blocked } from './listings/requests.ts';
import type { Mirror, Request } from './mirror.ts';
import type { ListState, Ui } from './model.ts';
import type { ListId } from './screens.ts';

export interface Selection {
  readonly listing: AnyListing;
  readonly rows: readonly unknown[];
  /** Rows before the filter. */
  readonly of: number;
  /** Of the selected row; -1 when there is none. */
  readonly index: number;
}

interface Remembered {
  readonly version: number;
  readonly screen: ListId;
  readonly list: ListState;
  readonly rows: readonly unknown[];
  readonly of: number;
}

/** The last answer for a mirror: between two changes of it only the clock moves. */
const remembered = new WeakMap<Mirror, Remembered>();

/** Null on the overview. */
export function selected(ui: Ui, mirror: Mirror, moment: Moment): Selection | null {
  const { screen } = ui;
  if (screen === 'overview') return null;
  const list = ui.lists[screen];
  const listing = listingOf(screen, list.group);
  const { rows, of } = rowsOf(screen, list, listing, mirror, moment);
  const found = list.cursor === null ? -1 : rows.findIndex((row) => listing.keyOf(row) === list.cursor);
  return { listing, rows, of, index: found >= 0 ? found : Math.min(list.index, rows.length - 1) };
}

export const selectedRow = (selection: Selection | null): unknown => (selection === null || selection.index < 0 ? null : selection.rows[selection.index]);

function rowsOf(screen: ListId, list: ListState, listing: AnyListing, mirror: Mirror, moment: Moment): { readonly rows: readonly unknown[]; readonly of: number } {
  const last = remembered.get(mirror);
  if (last !== undefined && last.version === mirror.version && last.screen === screen && isSame(last.list, list)) return last;
  const all = listing.rows(mirror).filter((row) => isWithin(screen, list, row));
  const words = list.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = words.length === 0 ? all : all.filter((row) => words.every((word) => haystack(listing, row, moment).includes(word)));
  const answer = { version: mirror.version, screen, list, rows: sorted(rows, list, listing, moment), of: all.length };
  remembered.set(mirror, answer);
  return answer;
}

const isSame = (a: ListState, b: ListState): boolean =>
  a.filter === b.filter && a.sort === b.sort && a.down === b.down && a.group === b.group && a.within?.by === b.within?.by && a.within?.name === b.within?.name;

function isWithin(screen: ListId, { within, group }: ListState, row: unknown): boolean {
  if (within === null || group !== 'none') return true;
  const request = screen === 'blocked' ? (row as Blocked).request : (row as Request);
  return groupNames(request, within.by).includes(within.name);
}

const haystacks = new WeakMap<object, string>();

function haystack(listing: AnyListing, row: unknown, moment: Moment): string {
  const known = haystacks.get(row as object);
  if (known !== undefined) return known;
  const text = listing.columns.map((column) => shown(column.value(row, moment))).join(' ').toLowerCase();
  haystacks.set(row as object, text);
  return text;
}

function sorted(rows: readonly unknown[], { sort, down }: ListState, { columns }: AnyListing, moment: Moment): readonly unknown[] {
  const column = sort === null ? undefined : columns[sort];
  if (column === undefined) return down ? [...rows].reverse() : rows;
  const ranked = rows.map((row) => ({ row, rank: column.rank === undefined ? (column.value(row, moment) ?? '') : column.rank(row) }));
  const sign = down ? -1 : 1;
  return ranked.sort((a, b) => sign * compare(a.rank, b.rank)).map(({ row }) => row);
}

function compare(a: string | number, b: string | number): number {
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
