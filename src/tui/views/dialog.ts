/** Questions, in a box over the screen. */
import { shown } from '../listing.ts';
import type { Dialog, Size } from '../model.ts';
import { fit, fitLine, type Line, type Span, widthOf } from '../text.ts';

const widest = 76;

/** Where a box of `lines` lines stands, and the first line within it. */
export function boxAt(lines: number, { columns, rows }: Size): { readonly top: number; readonly left: number; readonly width: number; readonly height: number } {
  const width = Math.min(columns - 2, widest);
  const height = Math.min(lines + 2, rows - 2);
  return { top: Math.max(1, Math.floor((rows - height) / 2)), left: Math.max(0, Math.floor((columns - width) / 2)), width, height };
}

export function dialogLines(dialog: Dialog, columns: number): Line[] {
  const room = Math.min(columns - 2, widest) - 4;
  const lines: Line[] = [[['title', shown(dialog.title)]], ...dialog.about.map((text): Line => [['plain', shown(text)]]), [['plain', '']]];
  if (dialog.kind === 'text') lines.push([['key', '> '], ['plain', `${typed(dialog.text, room - 3)}_`]], [['dim', 'Enter: do it   Esc: leave it']]);
  else {
    dialog.choices.forEach(({ key, label }, i) => {
      const style = i === dialog.at ? 'selected' : 'plain';
      lines.push([[style, i === dialog.at ? '>' : ' '], [i === dialog.at ? 'selected' : 'key', ` ${key} `], [style, ` ${shown(label)} `]]);
    });
    lines.push([['dim', 'Enter: take it   Esc: leave it']]);
  }
  return lines;
}

/** Line of the dialog's first choice within its lines. */
export const choicesFrom = (dialog: Dialog): number => dialog.about.length + 2;

const typed = (text: string, room: number): string => (widthOf(text) <= room ? fit(text, widthOf(text)) : fit(text, room, { keepEnd: true }));

/** `lines` in a box over the middle of `under`. */
export function overlay(under: readonly Line[], lines: readonly Line[], size: Size): Line[] {
  const { top, left, width, height } = boxAt(lines.length, size);
  const inner = width - 4;
  const edge: Span = ['edge', `+${'─'.repeat(width - 2)}+`];
  const box: Line[] = [[edge], ...lines.slice(0, height - 2).map((line): Line => [['edge', '│ '], ...fitLine([...line, ['plain', '']], inner), ['edge', ' │']]), [edge]];
  return under.map((line, y) => {
    const part = box[y - top];
    if (part === undefined) return line;
    return fitLine([...fitLine(line, left), ...part, ...after(line, left + width, size.columns)], size.columns);
  });
}

/** The line from cell `from` on. */
function after(line: Line, from: number, columns: number): Line {
  const rest: Span[] = [];
  let at = 0;
  for (const [style, text] of line) {
    const end = at + widthOf(text);
    if (end > from) rest.push([style, at >= from ? text : fit(text, end - from, { keepEnd: true }).replace(/^…/, ' ')]);
    at = end;
  }
  return fitLine(rest, columns - from);
}
