/** The help: every screen and every key. */
import { allKeys } from '../keys.ts';
import { screens } from '../screens.ts';
import { fit, type Line } from '../text.ts';

export function helpLines(operator: boolean): Line[] {
  const lines: Line[] = [[['title', 'Screens']]];
  for (const { key, title, about } of screens) lines.push([['key', ` ${key} `], ['plain', fit(title, 10)], ['dim', about]]);
  lines.push([['title', 'Keys']]);
  for (const { keys, about, operators } of allKeys) if (operator || !operators) lines.push([['key', fit(` ${keys}`, 14)], ['dim', about]]);
  lines.push([['dim', 'Mouse: tabs, rows, headings to sort by, wheel. Any key closes this.']]);
  return lines;
}
