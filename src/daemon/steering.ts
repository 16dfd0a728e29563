/** What operators do to the queue: cancel, priority, pause, resume, retry, drives. Who did it is in the event log. */
import { errorCode, HsmError, usageError } from '../errors.ts';
import { type DenialErrno, denialErrnos } from '../recall/keeper-client.ts';
import type { Daemon } from './daemon.ts';
import { flag, integer, optionalText, text, textList, type Params } from './params.ts';
import type { RetryFailure } from './protocol.ts';
import { parsePause, parseResume, pauseLine, savePauses } from './pauses.ts';
import type { Call, Handlers } from './server.ts';

const highestPriority = 1000;
const mostRequests = 100_000;

export function steeringHandlers(daemon: Daemon): Handlers {
  const { drives, recaller } = daemon;
  return {
    cancel: async (params, call) => {
      const cancelled = cancel(daemon, params, call);
      const what = { ...wantedIn(params), errno: optionalText(params, 'errno') };
      // The event log holds so many events: who is no operator must not be able to push out what operators did.
      if (call.operator) await log(daemon, call, 'cancel', what);
      else daemon.log.info({ ...what, uid: call.peer.uid, pid: call.peer.pid }, 'a user cancelled a recall');
      return { cancelled };
    },
    setPriority: async (params, call) => {
      const ids = requestIds(params);
      const priority = integer(params, 'priority');
      if (priority > highestPriority) throw usageError(`a priority is 0 to ${highestPriority}`);
      const changed = ids.filter((id) => recaller.setPriority(Number(id.slice(1)), priority));
      if (changed.length === 0) throw notQueued(ids);
      await log(daemon, call, 'priority', { ids: few(changed), priority });
      return { changed: changed.length };
    },
    pause: async (params, call) => {
      const pause = await parsePause(daemon, params);
      const reason = optionalText(params, 'reason');
      recaller.pause(pause, reason);
      await log(daemon, call, pause.kind === 'volume' ? 'hold' : 'pause', { ...pause, reason });
      await savePauses(daemon);
      return {};
    },
    resume: async (params, call) => {
      const pause = parseResume(params);
      if (!recaller.resume(pause)) throw new HsmError('ENOENT', `that is not paused: see hsm status`);
      await log(daemon, call, pause.kind === 'volume' ? 'unhold' : 'resume', pause);
      await savePauses(daemon);
      return {};
    },
    pauses: async (_params, call) => {
      for (const row of recaller.pauses) await call.row(pauseLine(row));
      return {};
    },
    retry: async (params, call) => {
      const ids = requestIds(params);
      const { retried, failed } = await retry(daemon, ids);
      const [first] = failed;
      if (retried.length === 0 && first !== undefined) throw new HsmError(first.code, first.message);
      await log(daemon, call, 'retry', { ids: few(retried) });
      return { retried: retried.length, failed };
    },
    setDrive: async (params, call) => {
      const admin = text(params, 'admin');
      if (admin !== 'up' && admin !== 'down') throw usageError(`a drive is set up or down, not '${admin}'`);
      const name = text(params, 'name');
      const reason = optionalText(params, 'reason');
      await drives.setDrive(name, admin, reason);
      await log(daemon, call, 'drive', { name, admin, reason });
      return {};
    },
  };
}

const log = ({ catalog }: Daemon, { peer }: Call, kind: string, data: object): Promise<void> => catalog.logEvent(kind, peer.uid, { ...data, pid: peer.pid });

/** Those that fail do not keep the others from being retried. */
async function retry({ recaller }: Daemon, ids: readonly string[]): Promise<{ readonly retried: string[]; readonly failed: RetryFailure[] }> {
  const retried: string[] = [];
  const failed: RetryFailure[] = [];
  for (const id of ids) {
    try {
      if (await recaller.retry(Number(id.slice(1)))) retried.push(id);
      else failed.push({ id, code: 'ENOENT', message: `${id} did not fail lately: see hsm failed` });
    } catch (error) {
      failed.push({ id, code: errorCode(error), message: `${id}: ${(error as Error).message}` });
    }
  }
  return { retried, failed };
}

function requestIds(params: Params): string[] {
  const ids = textList(params, 'ids');
  const bad = ids.find((id) => !/^r\d{1,15}$/.test(id));
  if (bad !== undefined) throw usageError(`'${bad.slice(0, 40)}' is no request: they look like r12, see hsm queue`);
  if (ids.length === 0 || ids.length > mostRequests) throw usageError(`1 to ${mostRequests} requests can be named at a time`);
  return ids;
}

const few = (ids: readonly string[]): string => (ids.length > 20 ? `${ids.slice(0, 20).join(' ')} and ${ids.length - 20} more` : ids.join(' '));

const notQueued = (ids: readonly string[]): HsmError => new HsmError('ENOENT', `${few(ids)} is not in the queue: see hsm queue`);

interface Cancel {
  readonly id?: string;
  /** Number of a user, barcode; `all`: whatever is queued. */
  readonly user?: string;
  readonly volume?: string;
  readonly all?: true;
}

/** How many requests or jobs there were. */
function cancel(daemon: Daemon, params: Params, call: Call): number {
  const errno = optionalText(params, 'errno') ?? 'EAGAIN';
  const denial = denialErrnos.find((each) => each === errno);
  if (denial === undefined) throw usageError(`a waiting reader can get ${denialErrnos.join(', ')}, not '${errno}'`);
  const { id, user, volume } = wantedIn(params);
  if (id !== undefined) {
    cancelOne(daemon, id, denial, call);
    return 1;
  }
  const own = call.operator ? null : call.peer.uid;
  if (user !== undefined && !/^\d{1,10}$/.test(user)) throw usageError(`'${user.slice(0, 40)}' is no number of a user`);
  if (user !== undefined && own !== null && Number(user) !== own) throw new HsmError('EPERM', 'only root and members of the group hsm may cancel what others wait for');
  return daemon.recaller.cancelAll(denial, { uid: user === undefined ? own : Number(user), volume: volume ?? null });
}

function wantedIn(params: Params): Cancel {
  const given = ['id', 'user', 'volume', 'all'].filter((key) => params[key] !== undefined);
  if (given.length !== 1) throw usageError('one of id, user, volume and all says what is to be cancelled');
  if (params['id'] !== undefined) return { id: text(params, 'id') };
  if (params['user'] !== undefined) return { user: text(params, 'user') };
  if (params['volume'] !== undefined) return { volume: text(params, 'volume') };
  if (!flag(params, 'all')) throw usageError('all can only be true');
  return { all: true };
}

function cancelOne({ jobs, recaller }: Daemon, id: string, denial: DenialErrno, call: Call): void {
  const [, kind, number] = /^([rj])(\d+)$/.exec(id) ?? [];
  if (kind === undefined) throw usageError(`'${id}' is neither a request (r12, from hsm queue) nor a job (j3, from hsm jobs)`);
  if (kind === 'j' && !call.operator) throw new HsmError('EPERM', 'only root and members of the group hsm may cancel jobs');
  const done = kind === 'j' ? jobs.cancel(Number(number)) : recaller.cancel(Number(number), denial, call.operator ? null : call.peer.uid);
  if (!done) throw new HsmError('ENOENT', `${id} is not ${kind === 'j' ? 'running' : 'in the queue'}: see hsm ${kind === 'j' ? 'jobs' : 'queue'}`);
}
