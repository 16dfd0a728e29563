/** What operators do to the selected row: questions first, then requests to the daemon. */
import type { DriveLine, JobLine } from '../daemon/protocol.ts';
import { type Moment, shown, shownPath } from './listing.ts';
import { type Group, whose } from './listings/groups.ts';
import { type Blocked, isFailed } from './listings/requests.ts';
import type { Mirror, Request } from './mirror.ts';
import { ask, askText, type Call, confirm, type Step } from './model.ts';
import type { ScreenId } from './screens.ts';

export interface Context {
  readonly screen: ScreenId;
  /** The row is a Group. */
  readonly isGroup: boolean;
  readonly row: unknown;
  readonly mirror: Mirror;
  readonly moment: Moment;
}

export const actions = { cancel, drive } satisfies Readonly<Record<string, (context: Context) => Step>>;

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
    const calls = requests.map(({ id }): Call => ({ method: 'cancel', params: { id, errno } }));
    const effects = [{ kind: 'call', calls, said: `cancelled ${named(context)} with ${errno}` }] as const;
    return { dialog: confirm(`Cancel ${named(context)} with ${errno}?`, about, effects) };
  });
  return { dialog };
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
