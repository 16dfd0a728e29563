/** What operators do to the selected row: questions first, then requests to the daemon. */
import type { DriveLine, JobLine, VolumeLine } from '../daemon/protocol.ts';
import { type Moment, shown, shownPath } from './listing.ts';
import { type Group, whose } from './listings/groups.ts';
import { type Blocked, isFailed } from './listings/requests.ts';
import type { Mirror, Request } from './mirror.ts';
import { pauseOf, toggle, type Pausable } from './pausing.ts';
import { ask, askText, type Call, type Choice, confirm, type Step } from './model.ts';
import type { ScreenId } from './screens.ts';

export interface Context {
  readonly screen: ScreenId;
  /** The row is a Group. */
  readonly isGroup: boolean;
  readonly row: unknown;
  readonly mirror: Mirror;
  readonly moment: Moment;
}

export const actions = { cancel, drive, priority, hold, pause, retry } satisfies Readonly<Record<string, (context: Context) => Step>>;

/** What waiting readers can get, the harmless one first. */
const errnos = [
  { key: 'a', label: 'EAGAIN  try again later', value: 'EAGAIN' },
  { key: 'b', label: 'EBUSY   busy', value: 'EBUSY' },
  { key: 'p', label: 'EPERM   not permitted', value: 'EPERM' },
  { key: 'i', label: 'EIO     input/output error', value: 'EIO' },
  { key: 's', label: 'ENOSPC  no space left', value: 'ENOSPC' },
  { key: 'q', label: 'EDQUOT  quota exceeded', value: 'EDQUOT' },
] as const;

/** The requests that a row stands for. */
function requestsOf({ screen, isGroup, row }: Context): readonly Request[] {
  if (isGroup) return (row as Group).requests;
  if (screen === 'blocked') return [(row as Blocked).request];
  return screen === 'requests' || screen === 'failed' ? [row as Request] : [];
}

/** The row in a few words. */
function named(context: Context): string {
  if (context.isGroup) return `all ${requestsOf(context).length} requests of ${(context.row as Group).by} ${shown(whose(context.row as Group, context.moment))}`;
  const [request] = requestsOf(context);
  return request === undefined ? '' : request.id;
}

function cancel(context: Context): Step {
  if (context.screen === 'jobs') return cancelJob(context.row as JobLine);
  const requests = requestsOf(context).filter((request) => !isFailed(request));
  const processes = requests.reduce((sum, { waiters }) => sum + waiters.length, 0);
  const about = [
    ...(requests.length === 1 && requests[0] !== undefined ? [shownPath(requests[0])] : []),
    `${processes} ${processes === 1 ? 'process waits' : 'processes wait'} for it and ${processes === 1 ? 'gets' : 'get'} the error that you choose.`,
  ];
  const dialog = ask(`Cancel ${named(context)}?`, about, errnos, (errno) => {
    const together = allOf(context);
    const calls = together === null ? requests.map(({ id }): Call => ({ method: 'cancel', params: { id, errno } })) : [{ method: 'cancel' as const, params: { ...together, errno } }];
    const effects = [{ kind: 'call', calls, said: `cancelled ${named(context)} with ${errno}` }] as const;
    return { dialog: confirm(`Cancel ${named(context)} with ${errno}?`, about, effects) };
  });
  return { dialog };
}

/** A group that the daemon knows, too: one call, and what comes meanwhile is cancelled with it. */
function allOf({ isGroup, row }: Context): { readonly user: string } | { readonly volume: string } | null {
  if (!isGroup) return null;
  const { by, name } = row as Group;
  if (by === 'user' && /^\d+$/.test(name)) return { user: name };
  return by === 'tape' && name !== '' ? { volume: name } : null;
}

function cancelJob(job: JobLine): Step {
  if (job.endedAt !== null) return { notice: { style: 'warn', text: `${job.id} has ended` } };
  const calls: readonly Call[] = [{ method: 'cancel', params: { id: job.id } }];
  return { dialog: confirm(`Stop job ${job.id}?`, [`It is a job of kind ${job.kind}: it finishes the step at hand. What it did stays done.`], [{ kind: 'call', calls, said: `${job.id} is told to stop` }]) };
}

function drive({ row }: Context): Step {
  const { name, admin, barcode, reason } = row as DriveLine;
  const set = (to: 'up' | 'down', why: string | null): Step => ({
    effects: [{ kind: 'call', calls: [{ method: 'setDrive', params: { name, admin: to, reason: why } }], said: `${name} is ${to}` }],
  });
  if (admin === 'down') return { dialog: confirm(`Let ${name} be used again?`, [`It is down: ${shown(reason)}`], set('up', null).effects ?? []) };
  const about = [`It finishes what it does${barcode === null ? '' : `; ${barcode} then goes back to a slot`}. Everybody will see the reason.`];
  return { dialog: askText(`Why is ${name} taken down?`, about, '', (text) => (text === '' ? { notice: { style: 'warn', text: 'a drive goes down with a reason only' } } : set('down', text))) };
}

function priority(context: Context): Step {
  const requests = requestsOf(context).filter((request) => !isFailed(request));
  const about = ['0 to 1000; higher goes first. What a process waits for begins with 100, what only a job wants with 50.'];
  const present = requests.length === 1 ? String(requests[0]?.priority ?? '') : '';
  return {
    dialog: askText(`Priority of ${named(context)}?`, about, present, (text) => {
      if (!/^\d{1,4}$/.test(text) || Number(text) > 1000) return { notice: { style: 'warn', text: `'${text}' is no priority: it is a whole number of 0 to 1000` } };
      const calls: readonly Call[] = [{ method: 'setPriority', params: { ids: requests.map(({ id }) => id), priority: Number(text) } }];
      return { effects: [{ kind: 'call', calls, said: `priority ${text}: ${named(context)}` }] };
    }),
  };
}

function volumeOf(context: Context): string | null {
  if (context.screen === 'volumes') return (context.row as VolumeLine).barcode;
  if (context.isGroup) return (context.row as Group).by === 'tape' ? (context.row as Group).name : null;
  return requestsOf(context)[0]?.volume ?? null;
}

function hold(context: Context): Step {
  const name = volumeOf(context);
  if (name === null || name === '') return { notice: { style: 'warn', text: 'choose a tape, or a request on one' } };
  return toggle({ kind: 'volume', name }, context.mirror, context.moment);
}

/** What could be paused here: everything, and what the row is about. */
function pause(context: Context): Step {
  const { mirror, moment, screen, row } = context;
  const wanted: Pausable[] = [{ kind: 'all', name: null }];
  const volume = row === null ? null : volumeOf(context);
  if (volume !== null && volume !== '') wanted.push({ kind: 'volume', name: volume });
  if (screen === 'drives' && row !== null) wanted.push({ kind: 'drive', name: (row as DriveLine).name });
  const user = row === null ? null : userOf(context);
  if (user !== null) wanted.push({ kind: 'user', name: user });
  for (const { uid } of mirror.status?.recalls.storms ?? []) if (!wanted.some(({ kind, name }) => kind === 'user' && name === String(uid))) wanted.push({ kind: 'user', name: String(uid) });
  for (const { kind, name } of mirror.status?.pauses ?? []) if (!wanted.some((each) => each.kind === kind && each.name === name)) wanted.push({ kind, name });
  const choices = wanted.slice(0, 9).map((each, i): Choice<Pausable> => {
    const is = pauseOf(mirror, each) !== null;
    return { key: each.kind === 'all' ? 'a' : String(i), label: `${is ? 'let go on' : 'pause'}: ${inWords(each, moment)}`, value: each };
  });
  return { dialog: ask('Pause or let go on?', ['Nobody is sent away; readers go on waiting.'], choices, (value) => toggle(value, mirror, moment)) };
}

const inWords = ({ kind, name }: Pausable, { userName }: Moment): string => (kind === 'all' ? 'all recalls' : kind === 'volume' ? `recalls from ${shown(name)}` : kind === 'drive' ? `recalls in ${shown(name)}` : `recalls of ${userName(Number(name))}`);

function userOf(context: Context): string | null {
  if (context.isGroup) return (context.row as Group).by === 'user' && (context.row as Group).name !== 'job' ? (context.row as Group).name : null;
  if (context.screen === 'blocked') return String((context.row as Blocked).waiter.uid);
  const uid = requestsOf(context)[0]?.waiters[0]?.uid;
  return uid === undefined ? null : String(uid);
}

function retry(context: Context): Step {
  const { id } = context.row as Request;
  return { effects: [{ kind: 'call', calls: [{ method: 'retry', params: { ids: [id] } }], said: `${id} is recalled again` }] };
}
