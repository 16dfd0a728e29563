/** Where things are on a screen of a given size: for those who draw and for the mouse. */
import type { ListId, ScreenId } from './screens.ts';
import { screens } from './screens.ts';
import type { Size, Ui } from './model.ts';

export const leastSize: Size = { columns: 40, rows: 10 };
const detailRows = 8;

export interface Layout {
  /** Of the tab of each screen: first cell and the one after the last. */
  readonly tabs: readonly { readonly screen: ScreenId; readonly text: string; readonly from: number; readonly to: number }[];
  /** First line below bar, tabs and banner. */
  readonly body: number;
  readonly bodyRows: number;
  /** First line of a list's rows; its heading is above. */
  readonly list: number;
  readonly listRows: number;
  /** First line of the detail pane; none: it is not open. */
  readonly detail: number;
  readonly detailRows: number;
  readonly notice: number;
  readonly hints: number;
}

export function layoutOf(ui: Pick<Ui, 'screen' | 'detail'>, { columns, rows }: Size): Layout {
  const body = 2;
  const hints = rows - 1;
  const notice = rows - 2;
  const bodyRows = Math.max(0, notice - body);
  const open = ui.detail && ui.screen !== 'overview' ? Math.min(detailRows, Math.max(0, Math.floor(bodyRows / 2))) : 0;
  return { tabs: tabsOf(columns), body, bodyRows, list: body + 1, listRows: Math.max(0, bodyRows - 1 - open), detail: notice - open, detailRows: open, notice, hints };
}

function tabsOf(columns: number): Layout['tabs'] {
  const long = screens.map(({ id, key, title }) => ({ screen: id, text: ` ${key} ${title} ` }));
  const fits = long.reduce((sum, { text }) => sum + text.length, 0) <= columns;
  const texts = fits ? long : screens.map(({ id, key, short }) => ({ screen: id, text: columns < 74 ? `${key} ${short} ` : ` ${key} ${short} ` }));
  let at = 0;
  return texts.map(({ screen, text }) => ({ screen, text, from: at, to: (at += text.length) }));
}

/** First row of a list of `count` rows that is shown, so that the selected one is, and as much else as there is room for. */
export function topOf(index: number, count: number, rows: number): number {
  if (count <= rows || rows <= 0) return 0;
  const middle = index - Math.floor(rows / 2);
  return Math.min(Math.max(0, middle), count - rows);
}

export const isList = (screen: ScreenId): screen is ListId => screen !== 'overview';
