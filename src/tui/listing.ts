/** What a list screen is made of. */
import { oneLine, printable } from '../cli/printable.ts';
import type { Mirror } from './mirror.ts';
import type { Style } from './text.ts';

/** What rows are shown against. */
export interface Moment {
  /** ms since the epoch. */
  readonly now: number;
  readonly userName: (uid: number) => string;
}

export interface Column<Row> {
  readonly title: string;
  /** Cells; of the one column that grows, the least. */
  readonly width: number;
  readonly grows?: boolean;
  /** Shown on screens of this width and more. */
  readonly from?: number;
  readonly right?: boolean;
  readonly keepEnd?: boolean;
  value(row: Row, moment: Moment): string | number | null;
  /** What it is sorted by where that is not the value. */
  rank?(row: Row): number | string;
  style?(row: Row): Style;
}

export interface Listing<Row> {
  readonly columns: readonly Column<Row>[];
  /** In their natural order. */
  rows(mirror: Mirror): readonly Row[];
  /** Stays the same while the row is the same thing. */
  keyOf(row: Row): string;
  /** All that is known of one row. */
  detail(row: Row, mirror: Mirror, moment: Moment): readonly (readonly [label: string, value: string])[];
  /** Said when there are none. */
  readonly none: string;
}

/** Lists of different rows in one table: a screen hands a listing its own rows only. */
export type AnyListing = Listing<unknown>;

export const erased = <Row>(listing: Listing<Row>): AnyListing => listing;

/** Anything as one harmless line. */
export const shown = (value: string | number | null | undefined): string => (value === null || value === undefined || value === '' ? '-' : oneLine(String(value)));

/** A path of a row, its exact bytes escaped where they must be. */
export function shownPath(row: { readonly path: string | null; readonly pathBase64?: string | undefined }): string {
  if (row.pathBase64 !== undefined) return printable(Buffer.from(row.pathBase64, 'base64'));
  return row.path === null ? '-' : printable(row.path);
}

/** `12:34:56`, or the day too when it is another one; local time. */
export function clock(at: number, now: number = at): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return date.toDateString() === new Date(now).toDateString() ? time : `${day} ${time}`;
}
