/** Text that takes exactly as many cells as it says, on every terminal. */
import { eastAsianWidth } from 'get-east-asian-width';

/** Style names; a theme says how each looks. */
export type Style = 'plain' | 'dim' | 'bar' | 'tab' | 'head' | 'selected' | 'good' | 'busy' | 'warn' | 'bad' | 'key' | 'title' | 'spark' | 'edge';
export type Span = readonly [style: Style, text: string];
/** One line of the screen. */
export type Line = readonly Span[];

const ascii = /^[\x20-\x7e]*$/;
const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
/** Terminals disagree about the width of these; and some are invisible. */
const unsure = /[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Mc}\p{Me}\p{Regional_Indicator}\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Variation_Selector}]/u;
/** A letter with marks that every terminal puts above or below it. More than a few are a joke at our expense. */
const marked = /^[^\p{M}]\p{Mn}{0,3}$/u;
/** Conjoining vowels and tails of Hangul, and other letters that join the one before them. */
const joining = /^[\u1160-\u11ff\ud7b0-\ud7ff]$/u;
const standIn = '▯';

interface Cluster {
  readonly text: string;
  readonly width: 1 | 2;
}

function clusters(text: string): Cluster[] {
  const all: Cluster[] = [];
  for (const { segment } of segmenter.segment(text.normalize('NFC'))) all.push(cluster(segment));
  return all;
}

function cluster(segment: string): Cluster {
  if (!marked.test(segment) || unsure.test(segment) || joining.test(segment)) return { text: standIn, width: 1 };
  return { text: segment, width: eastAsianWidth(segment.codePointAt(0) ?? 0) };
}

/** Cells that `fit` gives the text when there is room for all of it. */
export function widthOf(text: string): number {
  if (ascii.test(text)) return text.length;
  return clusters(text).reduce((sum, { width }) => sum + width, 0);
}

export interface Fit {
  readonly right?: boolean;
  /** Where there is not enough room the end is what is kept: of paths. */
  readonly keepEnd?: boolean;
}

/** The text in exactly `width` cells: padded, or cut and marked with `…`. What terminals disagree about is shown as `▯`. */
export function fit(text: string, width: number, { right = false, keepEnd = false }: Fit = {}): string {
  if (width <= 0) return '';
  if (ascii.test(text)) {
    if (text.length <= width) return right ? text.padStart(width) : text.padEnd(width);
    return keepEnd ? `…${text.slice(text.length - width + 1)}` : `${text.slice(0, width - 1)}…`;
  }
  const all = clusters(text);
  const total = all.reduce((sum, each) => sum + each.width, 0);
  if (total <= width) return padded(all.map((each) => each.text).join(''), width - total, right);
  let used = 1;
  const kept: string[] = [];
  for (const each of keepEnd ? all.reverse() : all) {
    if (used + each.width > width) break;
    used += each.width;
    kept.push(each.text);
  }
  const cut = keepEnd ? `…${kept.reverse().join('')}` : `${kept.join('')}…`;
  return padded(cut, width - used, right);
}

const padded = (text: string, spaces: number, right: boolean): string => (right ? ' '.repeat(spaces) + text : text + ' '.repeat(spaces));

/** The line in exactly `width` cells; what is filled up takes the last style. */
export function fitLine(line: Line, width: number): Line {
  const spans: Span[] = [];
  let left = width;
  for (const [style, text] of line) {
    if (left === 0) break;
    const wide = widthOf(text);
    const used = Math.min(wide, left);
    if (text !== '') spans.push([style, fit(text, used)]);
    left -= used;
  }
  if (left > 0) spans.push([spans.at(-1)?.[0] ?? 'plain', ' '.repeat(left)]);
  return spans;
}

export const plainText = (line: Line): string => line.map(([, text]) => text).join('');
