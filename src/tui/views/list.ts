/** A list: heading and rows. */
import { type Moment, shown } from '../listing.ts';
import { topOf } from '../layout.ts';
import type { ListState } from '../model.ts';
import type { Selection } from '../select.ts';
import { fit, fitLine, type Line, type Span, type Style } from '../text.ts';
import { placeColumns, type Placed } from './columns.ts';

/** `rows` lines under the heading, whatever there is to show. */
export function listLines({ listing, rows, index, of }: Selection, list: ListState, moment: Moment, width: number, height: number): Line[] {
  const placed = placeColumns(listing, width - 1);
  const lines: Line[] = [heading(placed, list, width)];
  const top = topOf(index, rows.length, height);
  for (let i = top; i < Math.min(rows.length, top + height); i += 1) lines.push(rowLine(placed, rows[i], moment, i === index, width));
  if (rows.length === 0) lines.push(fitLine([['dim', ` ${of > 0 ? `none of ${of} has '${shown(list.filter)}'` : listing.none}`]], width));
  while (lines.length < height + 1) lines.push(fitLine([['plain', '']], width));
  return lines.slice(0, height + 1);
}

function heading(placed: readonly Placed[], { sort, down }: ListState, width: number): Line {
  const text = cells(placed, ({ column, index, width: room }) => {
    const mark = index === sort ? (down ? '▼' : '▲') : '';
    return ['head', fit(column.title.slice(0, Math.max(0, room - mark.length)) + mark, room, { right: column.right ?? false })];
  });
  return fitLine([['head', ' '], ...text], width).map(([, part]) => ['head', part] as const);
}

function rowLine(placed: readonly Placed[], row: unknown, moment: Moment, isSelected: boolean, width: number): Line {
  const spans = cells(placed, ({ column, width: room }) => {
    const style: Style = isSelected ? 'selected' : (column.style?.(row) ?? 'plain');
    return [style, fit(shown(column.value(row, moment)), room, { right: column.right ?? false, keepEnd: column.keepEnd ?? false })];
  });
  const line = fitLine([['plain', isSelected ? '>' : ' '], ...spans], width);
  return isSelected ? line.map(([, text]) => ['selected', text] as const) : line;
}

function cells(placed: readonly Placed[], cell: (each: Placed) => Span): Span[] {
  const spans: Span[] = [];
  let at = 0;
  for (const each of placed) {
    if (each.at > at) spans.push(['plain', ' '.repeat(each.at - at)]);
    spans.push(cell(each));
    at = each.at + each.width;
  }
  return spans;
}
