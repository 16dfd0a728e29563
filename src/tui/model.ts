/** What the person in front of the screen has chosen. Plain data; update.ts moves it. */
import type { Group, Grouping } from './listings/groups.ts';
import { listIds, type ListId, type ScreenId } from './screens.ts';
import type { Style } from './text.ts';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Where one looks in a list. */
export interface ListState {
  /** Key of the selected row: it stays selected wherever it goes. */
  readonly cursor: string | null;
  /** Where it was last, for when it is gone. */
  readonly index: number;
  readonly filter: string;
  /** Index of the column, null: the natural order. */
  readonly sort: number | null;
  readonly down: boolean;
  readonly group: Grouping;
  /** Only the requests of this group. */
  readonly within: Pick<Group, 'by' | 'name'> | null;
}

export type Effect =
  /** Requests to the daemon; `said` once all of them are done. */
  | { readonly kind: 'call'; readonly calls: readonly Call[]; readonly said: string }
  | { readonly kind: 'snapshot' }
  | { readonly kind: 'redraw' }
  | { readonly kind: 'suspend' }
  | { readonly kind: 'quit' };

export interface Call {
  readonly method: 'cancel' | 'setDrive' | 'setPriority' | 'pause' | 'resume' | 'retry';
  readonly params: Readonly<Record<string, unknown>>;
}

export interface Notice {
  readonly style: Style;
  readonly text: string;
}

/** What follows from an answer: the next question, things to do, or a word. */
export interface Step {
  readonly dialog?: Dialog;
  readonly effects?: readonly Effect[];
  readonly notice?: Notice;
}

export interface Choice<Value = unknown> {
  /** The letter that takes it. */
  readonly key: string;
  readonly label: string;
  readonly value: Value;
}

export type Dialog =
  | { readonly kind: 'choice'; readonly title: string; readonly about: readonly string[]; readonly choices: readonly Choice[]; readonly at: number; then(value: unknown): Step }
  | { readonly kind: 'text'; readonly title: string; readonly about: readonly string[]; readonly text: string; then(text: string): Step };

export interface Ui {
  readonly screen: ScreenId;
  readonly lists: Readonly<Record<ListId, ListState>>;
  readonly detail: boolean;
  readonly help: boolean;
  /** The filter is being typed. */
  readonly filtering: boolean;
  readonly dialog: Dialog | null;
  readonly notice: Notice | null;
}

const emptyList: ListState = { cursor: null, index: 0, filter: '', sort: null, down: false, group: 'none', within: null };

export const firstUi: Ui = {
  screen: 'overview',
  lists: Object.fromEntries(listIds.map((id) => [id, emptyList])) as Record<ListId, ListState>,
  detail: false,
  help: false,
  filtering: false,
  dialog: null,
  notice: null,
};

/** A question whose answer is one of `choices`. */
export function ask<Value>(title: string, about: readonly string[], choices: readonly Choice<Value>[], then: (value: Value) => Step): Dialog {
  return { kind: 'choice', title, about, choices, at: 0, then: (value) => then(value as Value) };
}

/** A question before something that hurts: what is asked for happens on `y` only. */
export const confirm = (title: string, about: readonly string[], effects: readonly Effect[]): Dialog =>
  ask<boolean>(
    title,
    about,
    [
      { key: 'n', label: 'no', value: false },
      { key: 'y', label: 'yes', value: true },
    ],
    (yes) => (yes ? { effects } : {}),
  );

export const askText = (title: string, about: readonly string[], text: string, then: (text: string) => Step): Dialog => ({ kind: 'text', title, about, text, then });
