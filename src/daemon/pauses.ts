/** Pauses and holds: what operators stopped for a while. They outlive the daemon in a file of the state folder. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HsmError, usageError } from '../errors.ts';
import { writeFileAtomic } from '../media/atomic-file.ts';
import type { Pause, PauseRow } from '../recall/scheduler/pauses.ts';
import type { Daemon } from './daemon.ts';
import { optionalText, text, type Params } from './params.ts';
import type { PauseLine } from './protocol.ts';

type Paused = Pick<Daemon, 'recaller' | 'config'>;

const fileOf = (state: string): string => join(state, 'pauses.json');

/** What was paused when a daemon ended is paused again. A file that cannot be read pauses nothing, and the log says so. */
export function restorePauses({ recaller, config, log }: Paused & Pick<Daemon, 'log'>): void {
  const file = fileOf(config.state);
  if (!existsSync(file)) return;
  try {
    for (const { kind, name, reason, since } of JSON.parse(readFileSync(file, 'utf8')) as PauseLine[]) recaller.pause(pauseOf(kind, name), reason, Date.parse(since));
  } catch (error) {
    log.error({ error, file }, 'what was paused is not known any more');
  }
}

/** Saves one after the other: the file never goes back. */
let saving: Promise<void> = Promise.resolve();

/** Durable when it resolves. */
export function savePauses({ recaller, config }: Paused): Promise<void> {
  const saved = saving.then(() => writeFileAtomic(fileOf(config.state), `${JSON.stringify(recaller.pauses.map(pauseLine), null, 2)}\n`));
  saving = saved.catch(() => undefined);
  return saved.catch((error: unknown) => {
    throw new HsmError('EIO', `it is done, but will not outlive the daemon: ${fileOf(config.state)} cannot be written: ${(error as Error).message}`, { cause: error });
  });
}

export const pauseLine = ({ pause, reason, since }: PauseRow): PauseLine => ({ kind: pause.kind, name: pause.kind === 'all' ? null : pause.kind === 'user' ? String(pause.uid) : pause.name, reason, since: new Date(since).toISOString() });

/** What a client wants let go of: also what is gone by now. */
export const parseResume = (params: Params): Pause => pauseOf(text(params, 'kind'), optionalText(params, 'name'));

/** What a client wants paused, if there is such a thing. */
export async function parsePause({ catalog, drives }: Pick<Daemon, 'catalog' | 'drives'>, params: Params): Promise<Pause> {
  const pause = parseResume(params);
  if (pause.kind === 'volume' && (await catalog.volume(pause.name)) === undefined) throw new HsmError('NO_VOLUME', `no volume is named ${pause.name}: see hsm tape ls`);
  if (pause.kind === 'drive' && !drives.states.some(({ name }) => name === pause.name)) throw new HsmError('NO_DRIVE', `no drive is named ${pause.name}: see hsm drive ls`);
  return pause;
}

function pauseOf(kind: string, name: string | null): Pause {
  if (kind === 'all') return { kind };
  if (name === null) throw usageError('name must say what is paused');
  if (kind === 'volume' || kind === 'drive') return { kind, name };
  if (kind === 'user' && /^\d{1,10}$/.test(name)) return { kind, uid: Number(name) };
  throw usageError(kind === 'user' ? `a user is paused by number, not '${name}'` : `kind is all, volume, drive or user, not '${kind}'`);
}
