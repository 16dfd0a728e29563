/** What operators do to the queue: cancel, priority, pause, resume, retry, drives. Who did it is in the event log. */
import { HsmError, usageError } from '../errors.ts';
import { denialErrnos } from '../recall/keeper-client.ts';
import type { Daemon } from './daemon.ts';
import { integer, optionalText, text, textList, type Params } from './params.ts';
import { parsePause, parseResume, pauseLine, savePauses } from './pauses.ts';
import type { Call, Handlers } from './server.ts';

const highestPriority = 1000;
const mostRequests = 100_000;

export function steeringHandlers(daemon: Daemon): Handlers {
  const { drives, recaller } = daemon;
  return {
    cancel: async (params, call) => {
      cancel(daemon, params, call);
      const what = { id: text(params, 'id'), errno: optionalText(params, 'errno') };
      // The event log holds so many events: who is no operator must not be able to push out what operators did.
      if (call.operator) await log(daemon, call, 'cancel', what);
      else daemon.log.info({ ...what, uid: call.peer.uid, pid: call.peer.pid }, 'a user cancelled a recall');
      return { cancelled: 1 };
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
      const { retried, refused } = await retry(daemon, ids);
      if (retried.length > 0) await log(daemon, call, 'retry', { ids: few(retried) });
      if (refused !== null) throw refused;
      if (retried.length === 0) throw new HsmError('ENOENT', `${few(ids)} did not fail lately: see hsm failed`);
      return { retried: retried.length };
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

/** Those that fail do not keep the others from being retried; the first failure is told. */
async function retry({ recaller }: Daemon, ids: readonly string[]): Promise<{ readonly retried: string[]; readonly refused: HsmError | null }> {
  const retried: string[] = [];
  let refused: HsmError | null = null;
  for (const id of ids) {
    try {
      if (await recaller.retry(Number(id.slice(1)))) retried.push(id);
    } catch (error) {
      refused ??= error instanceof HsmError ? error : new HsmError('EIO', `${id}: ${(error as Error).message}`, { cause: error });
    }
  }
  return { retried, refused };
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

function cancel({ jobs, recaller }: Daemon, params: Params, call: Call): void {
  const id = text(params, 'id');
  const errno = optionalText(params, 'errno') ?? 'EAGAIN';
  const denial = denialErrnos.find((each) => each === errno);
  if (denial === undefined) throw usageError(`a waiting reader can get ${denialErrnos.join(', ')}, not '${errno}'`);
  const [, kind, number] = /^([rj])(\d+)$/.exec(id) ?? [];
  if (kind === undefined) throw usageError(`'${id}' is neither a request (r12, from hsm queue) nor a job (j3, from hsm jobs)`);
  if (kind === 'j' && !call.operator) throw new HsmError('EPERM', 'only root and members of the group hsm may cancel jobs');
  const done = kind === 'j' ? jobs.cancel(Number(number)) : recaller.cancel(Number(number), denial, call.operator ? null : call.peer.uid);
  if (!done) throw new HsmError('ENOENT', `${id} is not ${kind === 'j' ? 'running' : 'in the queue'}: see hsm ${kind === 'j' ? 'jobs' : 'queue'}`);
}
