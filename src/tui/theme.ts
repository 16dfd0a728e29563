/** How styles look: with 256 colours, with 16, or with none. */
import type { Line, Style } from './text.ts';

export type Colours = 'none' | '16' | '256';

export interface Theme {
  readonly colours: Colours;
  /** False where the locale has no UTF-8: what is beyond ASCII is then shown as `?`. */
  readonly unicode: boolean;
  readonly sgr: Readonly<Record<Style, string>>;
}

/** Parameters of SGR (ECMA-48 8.3.117); empty: as the terminal is. */
const styles: Readonly<Record<Colours, Readonly<Record<Style, string>>>> = {
  none: { plain: '', dim: '', bar: '7', tab: '1;7', head: '4', selected: '7', good: '', busy: '1', warn: '1', bad: '1;4', key: '1', title: '1', spark: '', edge: '' },
  '16': {
    plain: '',
    dim: '90',
    bar: '30;46',
    tab: '97;44',
    head: '1;36',
    selected: '30;47',
    good: '32',
    busy: '36',
    warn: '33',
    bad: '1;31',
    key: '1;33',
    title: '1',
    spark: '36',
    edge: '90',
  },
  '256': {
    plain: '',
    dim: '38;5;245',
    bar: '38;5;252;48;5;236',
    tab: '1;38;5;231;48;5;31',
    head: '1;38;5;110',
    selected: '38;5;231;48;5;24',
    good: '38;5;114',
    busy: '38;5;80',
    warn: '38;5;221',
    bad: '1;38;5;203',
    key: '1;38;5;221',
    title: '1;38;5;255',
    spark: '38;5;80',
    edge: '38;5;240',
  },
};

export function theme(colours: Colours, unicode = true): Theme {
  return { colours, unicode, sgr: styles[colours] };
}

/** What the environment says of the terminal. NO_COLOR (no-color.org) wins, whatever it is set to. */
export function themeOf(env: Readonly<Record<string, string | undefined>>): Theme {
  const { TERM = '', COLORTERM = '', NO_COLOR = '' } = env;
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  const unicode = /utf-?8/i.test(locale);
  if (NO_COLOR !== '' || /^(vt\d|dumb|.*-m$)/.test(TERM)) return theme('none', unicode);
  return theme(/256color|direct|kitty|ghostty/.test(TERM) || COLORTERM !== '' ? '256' : '16', unicode);
}

const asciiOf: Readonly<Record<string, string>> = { '…': '~', '│': '|', '─': '-', '▲': '^', '▼': 'v', '·': '.', '▯': '?', '→': '>', '▁': '_', '▂': '.', '▃': ':', '▄': '-', '▅': '=', '▆': '+', '▇': '*', '█': '#' };

/** The line as a terminal takes it. Ends with the terminal's own colours. */
export function encode(line: Line, { sgr, unicode }: Theme): string {
  let out = '';
  let before = '';
  for (const [style, text] of line) {
    const now = sgr[style];
    if (now !== before) out += now === '' ? '\x1b[0m' : `\x1b[0;${now}m`;
    before = now;
    out += unicode ? text : text.replace(/[^\x20-\x7e]/gu, (character) => asciiOf[character] ?? '?');
  }
  return before === '' ? out : `${out}\x1b[0m`;
}
