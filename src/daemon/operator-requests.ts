/** Drives and the queue as they are shown: where an operator's hand is waited for, that is the reason. */
import { requestText } from '../library/changer.ts';
import type { PooledDrive } from '../library/drive-pool.ts';
import type { QueueRow } from '../recall/queue-rows.ts';
import type { Daemon } from './daemon.ts';

export function driveStates({ drives, library: { requests }, rates }: Pick<Daemon, 'drives' | 'library' | 'rates'>): (PooledDrive & { readonly rate: number | null })[] {
  return drives.states.map((state) => {
    const request = requests.find(({ drive }) => drive === state.name);
    return { ...state, rate: rates.of(state.name), ...(request === undefined ? {} : { reason: requestText(request) }) };
  });
}

/** `uid`: only what is that user's; null: all. */
export function queueRowsOf({ recaller, library: { requests } }: Pick<Daemon, 'recaller' | 'library'>, uid: number | null): QueueRow[] {
  return recaller.rows(uid).map((row) => {
    const request = requests.find(({ barcode }) => barcode === row.volume);
    return request === undefined || row.reason !== null ? row : { ...row, reason: requestText(request) };
  });
}
