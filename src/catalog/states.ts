/** The one place that makes a move, and how file states are written in the database. */
import { HsmError } from '../errors.ts';
import type { FileState } from './model.ts';

/** Numbers in `files.state`; they never change, for they are in databases. */
export const fileStateCodes = { archived: 0, stub: 1, resident: 2, archiving: 3, recalling: 4 } as const satisfies Record<FileState, number>;

const statesByCode: readonly FileState[] = ['archived', 'stub', 'resident', 'archiving', 'recalling'];

/** Fails for a number that is no state's. */
export function fileState(code: number): FileState {
  const state = statesByCode[code];
  if (state === undefined) throw new HsmError('CATALOG_DAMAGED', `the catalogue names a file state ${code} that this hsm does not know`);
  return state;
}

/** True where the file needs its object: a resident file, and one being archived anew, have all their data on disk. */
export const needsObject = (state: FileState): boolean => state === 'archived' || state === 'stub' || state === 'recalling';

/** Returns `to`, or fails with `BAD_MOVE` when `moves` does not lead there. `what` names the thing for the message. */
export function move<State extends string>(moves: Readonly<Record<State, readonly string[]>>, from: State, to: State, what: string): State {
  if (!moves[from].includes(to)) throw new HsmError('BAD_MOVE', `${what} cannot go from ${from} to ${to}`);
  return to;
}
