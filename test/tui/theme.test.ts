import test from 'ava';
import { type Colours, encode, theme, themeOf } from '../../src/tui/theme.ts';

const colours = test.macro((t, env: Record<string, string>, expected: Colours) => t.is(themeOf(env).colours, expected));

test('256 colours where TERM has them', colours, { TERM: 'xterm-256color' }, '256');
test('256 colours in tmux', colours, { TERM: 'tmux-256color' }, '256');
test('256 colours where COLORTERM says more', colours, { TERM: 'xterm', COLORTERM: 'truecolor' }, '256');
test('16 colours elsewhere', colours, { TERM: 'linux' }, '16');
test('no colours with NO_COLOR', colours, { TERM: 'xterm-256color', NO_COLOR: '1' }, 'none');
test('an empty NO_COLOR is none', colours, { TERM: 'xterm-256color', NO_COLOR: '' }, '256');
test('no colours on a vt220', colours, { TERM: 'vt220' }, 'none');

test('without UTF-8 everything is ASCII', (t) => {
  t.false(themeOf({ TERM: 'linux', LANG: 'C' }).unicode);
  t.true(themeOf({ TERM: 'linux', LANG: 'de_DE.UTF-8' }).unicode);
  t.false(themeOf({ TERM: 'linux', LANG: 'de_DE.UTF-8', LC_ALL: 'C' }).unicode);
  t.is(encode([['plain', 'é…▁─│一']], theme('none', false)), '?~_-|?');
});

test('no colour and no other sequence is sent for plain text', (t) => t.is(encode([['plain', 'text']], theme('256')), 'text'));

test('a line ends in the colours of the terminal', (t) => {
  t.is(encode([['plain', 'a'], ['bad', 'b'], ['bad', 'c'], ['plain', 'd']], theme('16')), 'a\x1b[0;1;31mbc\x1b[0md');
  t.is(encode([['bad', 'b']], theme('16')), '\x1b[0;1;31mb\x1b[0m');
});

test('the monochrome theme has no colours', (t) => {
  for (const sgr of Object.values(theme('none').sgr)) t.regex(sgr, /^([1-9](;[1-9])*)?$/);
});
