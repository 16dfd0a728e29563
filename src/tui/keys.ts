/** Keys: what they are called, and what they do where. */
import type { ScreenId } from './screens.ts';

/** A key press as the terminal's library tells it. */
export interface Press {
  readonly name?: string;
  readonly ctrl?: boolean;
  readonly meta?: boolean;
  readonly shift?: boolean;
}

const named = ['up', 'down', 'left', 'right', 'pageup', 'pagedown', 'home', 'end', 'enter', 'escape', 'backspace', 'delete', 'tab'];

/** `up`, `enter`, `C-f`, or the character itself; null for what means nothing here. */
export function keyName(character: string | undefined, press: Press): string | null {
  const { name, ctrl = false, meta = false } = press;
  if (meta) return null;
  if (ctrl) return name !== undefined && /^[a-z]$/.test(name) ? `C-${name}` : null;
  // Return comes twice, once as enter.
  if (name === 'return') return null;
  if (name === 'linefeed') return 'enter';
  if (name !== undefined && named.includes(name)) return name;
  return character !== undefined && /^[^\p{Cc}]$/u.test(character) ? character : null;
}

export type Action = 'cancel' | 'priority' | 'pause' | 'hold' | 'retry' | 'drive' | 'filter' | 'sort' | 'invert' | 'group' | 'open' | 'snapshot' | 'help' | 'quit' | 'redraw' | 'suspend' | 'back';

interface KeyHelp {
  readonly keys: string;
  readonly action: Action | null;
  readonly about: string;
  /** In the bottom line; null: in the help only. */
  readonly hint: string | null;
  readonly operators: boolean;
  /** Where it does something; none: everywhere. */
  readonly on?: readonly ScreenId[];
  /** Needs a selected row. */
  readonly row?: boolean;
}

const lists: readonly ScreenId[] = ['tapes', 'requests', 'blocked', 'drives', 'volumes', 'jobs', 'failed', 'events'];

export const allKeys: readonly KeyHelp[] = [
  { keys: '?', action: 'help', about: 'this help', hint: 'help', operators: false },
  { keys: 'c', action: 'cancel', about: 'cancel: the readers get an errno of your choice; of a job, stop it', hint: 'cancel', operators: false, on: ['requests', 'blocked', 'tapes', 'jobs'], row: true },
  { keys: 'p', action: 'priority', about: 'priority of the request or group', hint: 'priority', operators: true, on: ['requests', 'blocked', 'tapes'], row: true },
  { keys: 'h', action: 'hold', about: 'hold the tape of the row: recalls from it wait; or let it go on', hint: 'hold', operators: true, on: ['requests', 'blocked', 'tapes', 'volumes'], row: true },
  { keys: 'r', action: 'retry', about: 'recall again what failed', hint: 'retry', operators: true, on: ['failed'], row: true },
  { keys: 'P', action: 'pause', about: 'pause all recalls, those of a tape, drive or user; or let them go on', hint: 'pause', operators: true },
  { keys: 'D', action: 'drive', about: 'take a drive down, with a reason, or up again', hint: 'drive down/up', operators: true, on: ['drives'], row: true },
  { keys: '/', action: 'filter', about: 'show only rows with these words; Esc ends it', hint: 'filter', operators: false, on: lists },
  { keys: 's', action: 'sort', about: 'sort by the next column', hint: 'sort', operators: false, on: lists },
  { keys: 'i', action: 'invert', about: 'the other way round', hint: null, operators: false, on: lists },
  { keys: 't', action: 'group', about: 'together by tape, user or program', hint: 'group', operators: false, on: ['requests', 'blocked'] },
  { keys: 'Enter', action: 'open', about: 'details of the row; the requests of a group', hint: 'details', operators: false, on: lists, row: true },
  { keys: 'Esc', action: 'back', about: 'back: out of a question, a filter, a group, the details', hint: null, operators: false },
  { keys: 'S', action: 'snapshot', about: 'write this screen with all its rows into a file', hint: 'snapshot', operators: false },
  { keys: '^L', action: 'redraw', about: 'draw anew', hint: null, operators: false },
  { keys: '^Z', action: 'suspend', about: 'to the shell, and back with fg', hint: null, operators: false },
  { keys: 'q', action: 'quit', about: 'leave; recalls go on', hint: 'quit', operators: false },
  { keys: 'arrows ^F ^B', action: null, about: 'move by rows and pages; Home, End', hint: null, operators: false },
];

const keyOf: Readonly<Record<string, string>> = { 'Enter': 'enter', 'Esc': 'escape', '^L': 'C-l', '^Z': 'C-z' };

const actions = new Map(allKeys.flatMap((each) => (each.action === null ? [] : [[keyOf[each.keys] ?? each.keys, each.action] as const])));

export const actionOf = (key: string): Action | null => (key === 'C-c' ? 'quit' : key === 'C-r' ? 'redraw' : (actions.get(key) ?? null));

/** What can be done here. */
export const helpOf = (screen: ScreenId, hasRow: boolean, operator: boolean): readonly KeyHelp[] =>
  allKeys.filter(({ on, row = false, operators }) => (on === undefined || on.includes(screen)) && (hasRow || !row) && (operator || !operators));
