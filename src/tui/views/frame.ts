/** The whole screen: exactly as many lines as it has rows, each exactly as wide. */
import { helpOf } from '../keys.ts';
import { clock, type Moment, shown } from '../listing.ts';
import { leastSize, layoutOf } from '../layout.ts';
import type { Mirror } from '../mirror.ts';
import type { Size, Ui } from '../model.ts';
import { screens } from '../screens.ts';
import { selected, selectedRow, type Selection } from '../select.ts';
import { fit, fitLine, type Line, widthOf } from '../text.ts';
import { dialogLines, overlay } from './dialog.ts';
import { detailLines } from './detail.ts';
import { helpLines } from './help.ts';
import { listLines } from './list.ts';
import { overviewLines } from './overview.ts';

export function render(ui: Ui, mirror: Mirror, moment: Moment, size: Size): Line[] {
  const { columns, rows } = size;
  if (columns < leastSize.columns || rows < leastSize.rows) return tooSmall(size);
  const layout = layoutOf(ui, size);
  const selection = selected(ui, mirror, moment);
  const lines: Line[] = [barLine(ui, mirror, moment, selection, columns), tabLine(ui, size)];
  if (selection === null || ui.screen === 'overview') lines.push(...overviewLines(mirror, moment, columns, layout.bodyRows));
  else lines.push(...listLines(selection, ui.lists[ui.screen], moment, columns, layout.listRows), ...detailLines(selection, mirror, moment, columns, layout.detailRows));
  while (lines.length < layout.notice) lines.push(fitLine([['plain', '']], columns));
  const whole = [...lines.slice(0, layout.notice), noticeLine(ui, mirror, columns), hintLine(ui, selection, mirror, columns)];
  if (ui.help) return overlay(whole, helpLines(mirror.operator), size);
  return ui.dialog === null ? whole : overlay(whole, dialogLines(ui.dialog, columns), size);
}

function tooSmall({ columns, rows }: Size): Line[] {
  const text = ` hsm tui needs ${leastSize.columns} x ${leastSize.rows} cells`;
  return Array.from({ length: rows }, (_, i) => fitLine([['plain', i === 0 ? text : '']], columns));
}

function barLine(ui: Ui, mirror: Mirror, { now }: Moment, selection: Selection | null, columns: number): Line {
  const title = screens.find(({ id }) => id === ui.screen)?.title ?? '';
  const { queued = 0, active = 0, failed = 0 } = mirror.status?.recalls ?? {};
  const right = `${queued} queued  ${active} active  ${failed} failed  ${clock(now)} `;
  const left = ` hsm  ${title}${selection === null || ui.screen === 'overview' ? '' : listInWords(ui, ui.screen, selection)}`;
  const room = Math.max(0, columns - right.length);
  return fitLine([['bar', fit(left, room)], ['bar', right]], columns);
}

function listInWords(ui: Ui, screen: Exclude<Ui['screen'], 'overview'>, { rows, of, index }: Selection): string {
  const { filter, within, group } = ui.lists[screen];
  const place = rows.length === 0 ? '' : ` ${index + 1}/${rows.length}`;
  const by = group === 'none' ? '' : ` by ${group}`;
  const only = within === null || group !== 'none' ? '' : ` of ${within.by} ${shown(within.name)}`;
  return `${by}${only}${place}${filter === '' ? '' : ` of ${of} with '${shown(filter)}'`}`;
}

function tabLine(ui: Ui, size: Size): Line {
  const { tabs } = layoutOf(ui, size);
  return fitLine([...tabs.map(({ screen, text }) => [screen === ui.screen ? 'tab' : 'dim', text] as const), ['plain', '']], size.columns);
}

function noticeLine(ui: Ui, mirror: Mirror, columns: number): Line {
  if (ui.filtering && ui.screen !== 'overview') return fitLine([['key', ' / '], ['plain', `${shown(ui.lists[ui.screen].filter).replace(/^-$/, '')}_`]], columns);
  if (mirror.link.state === 'connecting') return fitLine([['warn', mirror.link.why === '' ? ' connecting to the daemon' : ` ${shown(mirror.link.why)}; trying again`]], columns);
  if (mirror.link.state === 'away') return fitLine([['bad', ` the daemon is away since ${clock(mirror.link.since)}; what is shown was then; trying again`]], columns);
  if (ui.notice !== null) return fitLine([[ui.notice.style, ` ${shown(ui.notice.text)}`]], columns);
  return fitLine([['dim', mirror.operator ? '' : ' you see your own processes; operators are root and the group hsm']], columns);
}

function hintLine(ui: Ui, selection: Selection | null, mirror: Mirror, columns: number): Line {
  const line: (readonly ['key' | 'dim', string])[] = [];
  let used = 0;
  for (const { keys, hint } of helpOf(ui.screen, selectedRow(selection) !== null, mirror.operator)) {
    if (hint === null) continue;
    const text = ` ${hint}  `;
    if (used + widthOf(keys) + text.length > columns - 1) break;
    line.push(['key', line.length === 0 ? ` ${keys}` : keys], ['dim', text]);
    used += widthOf(keys) + text.length + (line.length === 2 ? 1 : 0);
  }
  return fitLine([...line, ['plain', '']], columns);
}

