/** Tables for people: a heading, columns as wide as they must be, every cell printable. */
import { printable } from './printable.ts';

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number | null;
  /** Numbers line up on the right. */
  readonly right?: boolean;
}

/** Lines of the table, heading first; null cells are `-`. The last column is not padded. */
export function tableLines<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string[] {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => columns.map((column) => cell(column.value(row))))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)));
  return cells.map((line) =>
    line
      .map((text, i) => (columns[i]?.right === true ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** A daemon of another release may leave a key out. */
const cell = (value: string | number | null | undefined): string => (value === undefined || value === null || value === '' ? '-' : printable(String(value)));
