/** The detail pane: all that is known of the selected row. */
import type { Moment } from '../listing.ts';
import type { Mirror } from '../mirror.ts';
import { selectedRow, type Selection } from '../select.ts';
import { fit, fitLine, type Line } from '../text.ts';

/** Exactly `height` lines, the first of them an edge. */
export function detailLines(selection: Selection, mirror: Mirror, moment: Moment, width: number, height: number): Line[] {
  if (height === 0) return [];
  const row = selectedRow(selection);
  const pairs = row === null ? [] : selection.listing.detail(row, mirror, moment);
  const lines: Line[] = [fitLine([['edge', '─'.repeat(width)]], width)];
  for (const [label, value] of pairs) lines.push(fitLine([['title', fit(` ${label}`, 12)], ['plain', value]], width));
  if (lines.length > height) lines.splice(height - 1, Infinity, fitLine([['dim', ` and ${lines.length - height + 1} more`]], width));
  while (lines.length < height) lines.push(fitLine([['plain', '']], width));
  return lines;
}
