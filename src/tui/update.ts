/** What a key or the mouse changes: the next state, and what is to be done in the world. */
import { actions, type Context } from './actions.ts';
import { isList, layoutOf, topOf } from './layout.ts';
import { actionOf, type Action, helpOf } from './keys.ts';
import { canGroup } from './listings/index.ts';
import { type Group, groupings } from './listings/groups.ts';
import type { Mirror } from './mirror.ts';
import type { Dialog, Effect, ListState, Size, Step, Ui } from './model.ts';
import { screens, type ListId, type ScreenId } from './screens.ts';
import { selected, selectedRow, type Selection } from './select.ts';
import { boxAt, choicesFrom, dialogLines } from './views/dialog.ts';
import { placeColumns } from './views/columns.ts';
import type { Moment } from './listing.ts';

export type Input =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'click'; readonly x: number; readonly y: number }
  | { readonly kind: 'wheel'; readonly by: number };

export interface Around {
  readonly mirror: Mirror;
  readonly moment: Moment;
  readonly size: Size;
}

export interface Updated {
  readonly ui: Ui;
  readonly effects: readonly Effect[];
}

export function update(ui: Ui, input: Input, around: Around): Updated {
  const fresh: Ui = { ...ui, notice: null };
  if (input.kind === 'key' && input.key === 'C-c') return { ui, effects: [{ kind: 'quit' }] };
  if (ui.help) return only({ ...fresh, help: input.kind === 'wheel' });
  if (ui.dialog !== null) return answered(fresh, ui.dialog, input, around.size);
  if (ui.filtering && input.kind === 'key') return typeFilter(fresh, input.key);
  if (input.kind === 'click') return click({ ...fresh, filtering: false }, input.x, input.y, around);
  if (input.kind === 'wheel') return only(moved(fresh, input.by, around));
  return pressed(fresh, input.key, around);
}

const only = (ui: Ui): Updated => ({ ui, effects: [] });

function pressed(ui: Ui, key: string, around: Around): Updated {
  const screen = screens.find((each, i) => each.key === key || String(i + 1) === key);
  if (screen !== undefined) return only(goTo(ui, screen.id));
  const { listRows } = layoutOf(ui, around.size);
  const steps: Readonly<Record<string, number>> = { up: -1, down: 1, pageup: -listRows, 'C-b': -listRows, pagedown: listRows, 'C-f': listRows, home: -Infinity, end: Infinity };
  const by = steps[key];
  if (by !== undefined) return only(moved(ui, by, around));
  if (key === 'tab') return only(goTo(ui, screens[(screens.findIndex(({ id }) => id === ui.screen) + 1) % screens.length]?.id ?? ui.screen));
  const action = actionOf(key);
  return action === null ? only(ui) : act(ui, action, around);
}

const goTo = (ui: Ui, screen: ScreenId): Ui => ({ ...ui, screen });

function act(ui: Ui, action: Action, { mirror, moment }: Around): Updated {
  const selection = selected(ui, mirror, moment);
  const row = selectedRow(selection);
  if (action === 'back') return only(back(ui));
  if (!helpOf(ui.screen, row !== null, mirror.operator).some((each) => each.action === action)) return only(refused(ui, action, mirror));
  switch (action) {
    case 'help':
      return only({ ...ui, help: true });
    case 'quit':
    case 'redraw':
    case 'suspend':
    case 'snapshot':
      return { ui, effects: [{ kind: action }] };
    case 'filter':
      return only({ ...ui, filtering: true });
    case 'sort':
      return only(changeList(ui, (list) => ({ sort: nextSort(list, selection), down: false })));
    case 'invert':
      return only(changeList(ui, ({ down }) => ({ down: !down })));
    case 'group':
      return only(changeList(ui, ({ group }) => ({ group: groupings[(groupings.indexOf(group) + 1) % groupings.length] ?? 'none', sort: null, down: false, cursor: null, index: 0, within: null })));
    case 'open':
      return only(open(ui, row));
    default:
      return step(ui, actions[action](contextOf(ui, row, mirror, moment)));
  }
}

const contextOf = (ui: Ui, row: unknown, mirror: Mirror, moment: Moment): Context => ({ screen: ui.screen, isGroup: showsGroups(ui), row, mirror, moment });

function refused(ui: Ui, action: Action, { operator }: Mirror): Ui {
  const needsOperator = helpOf(ui.screen, true, true).some((each) => each.action === action && each.operators);
  return needsOperator && !operator ? { ...ui, notice: { style: 'warn', text: 'only root and members of the group hsm may do that' } } : ui;
}

const step = (ui: Ui, { dialog, effects, notice }: Step): Updated => ({ ui: { ...ui, dialog: dialog ?? null, notice: notice ?? null }, effects: effects ?? [] });

function back(ui: Ui): Ui {
  if (!isList(ui.screen)) return ui;
  const { filter, within } = ui.lists[ui.screen];
  if (filter !== '') return changeList(ui, () => ({ filter: '' }));
  if (ui.detail) return { ...ui, detail: false };
  return within === null ? goTo(ui, 'overview') : changeList(ui, () => ({ within: null }));
}

export const showsGroups = (ui: Ui): boolean => ui.screen === 'tapes' || (isList(ui.screen) && canGroup(ui.screen) && ui.lists[ui.screen].group !== 'none');

/** A group opens the list of what is in it, anything else its details. */
function open(ui: Ui, row: unknown): Ui {
  if (!showsGroups(ui)) return { ...ui, detail: !ui.detail };
  const { by, name } = row as Group;
  const target: ListId = ui.screen === 'blocked' ? 'blocked' : 'requests';
  return changeList({ ...ui, screen: target }, () => ({ group: 'none', within: { by, name }, filter: '', cursor: null, index: 0 }));
}

function changeList(ui: Ui, change: (list: ListState) => Partial<ListState>): Ui {
  const { screen } = ui;
  if (!isList(screen)) return ui;
  const list = ui.lists[screen];
  return { ...ui, lists: { ...ui.lists, [screen]: { ...list, ...change(list) } } };
}

function nextSort({ sort }: ListState, selection: Selection | null): number | null {
  const next = sort === null ? 0 : sort + 1;
  return next < (selection?.listing.columns.length ?? 0) ? next : null;
}

function moved(ui: Ui, by: number, { mirror, moment }: Around): Ui {
  const selection = selected(ui, mirror, moment);
  if (selection === null || selection.rows.length === 0) return ui;
  return selectAt(ui, selection, Math.min(Math.max(0, selection.index + by), selection.rows.length - 1));
}

const selectAt = (ui: Ui, { listing, rows }: Selection, index: number): Ui => changeList(ui, () => ({ cursor: listing.keyOf(rows[index]), index }));

function typeFilter(ui: Ui, key: string): Updated {
  if (key === 'enter') return only({ ...ui, filtering: false });
  if (key === 'escape') return only(changeList({ ...ui, filtering: false }, () => ({ filter: '' })));
  return only(changeList(ui, ({ filter }) => ({ filter: edited(filter, key) })));
}

/** A line of text after one more key. */
function edited(text: string, key: string): string {
  if (key === 'backspace' || key === 'delete') return [...text].slice(0, -1).join('');
  if (key === 'C-u') return '';
  return [...key].length === 1 && text.length < 200 ? text + key : text;
}

function answered(ui: Ui, dialog: Dialog, input: Input, size: Size): Updated {
  if (input.kind === 'wheel') return only(ui);
  if (input.kind === 'key' && input.key === 'escape') return only({ ...ui, dialog: null });
  if (dialog.kind === 'text') {
    if (input.kind !== 'key') return only(ui);
    if (input.key === 'enter') return step(ui, dialog.then(dialog.text.trim()));
    return only({ ...ui, dialog: { ...dialog, text: edited(dialog.text, input.key) } });
  }
  const { choices, at } = dialog;
  if (input.kind === 'click') {
    const clicked = choices[choiceAt(dialog, input.x, input.y, size)];
    return clicked === undefined ? only(ui) : step(ui, dialog.then(clicked.value));
  }
  const by = { up: -1, down: 1 }[input.key];
  if (by !== undefined) return only({ ...ui, dialog: { ...dialog, at: (at + by + choices.length) % choices.length } });
  const chosen = input.key === 'enter' ? choices[at] : choices.find(({ key }) => key === input.key);
  return chosen === undefined ? only(ui) : step(ui, dialog.then(chosen.value));
}

function choiceAt(dialog: Dialog, x: number, y: number, size: Size): number {
  const { top, left, width } = boxAt(dialogLines(dialog, size.columns).length, size);
  return x > left && x < left + width - 1 ? y - top - 1 - choicesFrom(dialog) : -1;
}

function click(ui: Ui, x: number, y: number, around: Around): Updated {
  const { mirror, moment, size } = around;
  const layout = layoutOf(ui, size);
  if (y === 1) {
    const tab = layout.tabs.find(({ from, to }) => x >= from && x < to);
    return only(tab === undefined ? ui : goTo(ui, tab.screen));
  }
  const selection = selected(ui, mirror, moment);
  if (selection === null) return only(ui);
  if (y === layout.body) {
    const heading = placeColumns(selection.listing, size.columns - 1).find(({ at, width }) => x - 1 >= at && x - 1 < at + width);
    if (heading === undefined) return only(ui);
    return only(changeList(ui, ({ sort, down }) => ({ sort: heading.index, down: sort === heading.index ? !down : false })));
  }
  const line = y - layout.list;
  if (line < 0 || line >= layout.listRows) return only(ui);
  const index = topOf(selection.index, selection.rows.length, layout.listRows) + line;
  if (index >= selection.rows.length) return only(ui);
  // A click on what is selected opens it.
  return only(index === selection.index ? open(ui, selection.rows[index]) : selectAt(ui, selection, index));
}
