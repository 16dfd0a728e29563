/** Volumes that leave the library and come back, that are locked, looked at, or given up. Who did it is in the event log. */
import type { VolumeRow } from '../catalog/model.ts';
import { errorCode, HsmError, refusal, usageError } from '../errors.ts';
import { checkVolumeLabel, readLabel } from '../media/containers.ts';
import type { Daemon } from './daemon.ts';
import { flag, optionalText, text, textList, type Params } from './params.ts';
import type { LabelLine, MovedVolumeLine } from './protocol.ts';
import type { Call, Handlers } from './server.ts';
import { unread } from './unread.ts';

export type ShelfParts = Pick<Daemon, 'catalog' | 'library' | 'drives' | 'recaller' | 'log'>;

export function shelfHandlers(daemon: Daemon): Handlers {
  const each = async (params: Params, call: Call, kind: string, act: (barcode: string) => Promise<MovedVolumeLine>): Promise<object> => {
    const barcodes = textList(params, 'barcodes');
    if (barcodes.length === 0) throw usageError('name at least one volume');
    for (const barcode of barcodes) await need(daemon, barcode);
    for (const barcode of barcodes) {
      const row = await act(barcode);
      await daemon.catalog.logEvent(kind, call.peer.uid, { ...row });
      await call.row(row);
    }
    return { volumes: barcodes.length };
  };
  return {
    tapeExport: (params, call) => each(params, call, 'tape-export', (barcode) => exportVolume(daemon, barcode, call.cancelled)),
    tapeImport: (params, call) => each(params, call, 'tape-import', (barcode) => importVolume(daemon, barcode)),
    tapeLock: (params, call) => {
      const reason = optionalText(params, 'reason');
      return each(params, call, 'tape-lock', (barcode) => (flag(params, 'locked') ? lockVolume(daemon, barcode, reason) : unlockVolume(daemon, barcode)));
    },
    tapeRetire: (params, call) => each(params, call, 'tape-retire', (barcode) => retireVolume(daemon, barcode, call.cancelled)),
    tapeLabel: (params) => labelOf(daemon, text(params, 'barcode')),
  };
}

async function need({ catalog }: Pick<Daemon, 'catalog'>, barcode: string): Promise<VolumeRow> {
  const row = await catalog.volume(barcode);
  if (row === undefined) throw new HsmError('NO_VOLUME', `no volume is named ${barcode}: see hsm tape ls`);
  return row;
}

/**
 * Nothing is read from it or written to it any more; then it goes where a person takes it. Recalls that are queued on it are served first, unless
 * the caller gives up: then it stays as it was.
 */
export async function exportVolume(parts: ShelfParts, barcode: string, signal: AbortSignal): Promise<MovedVolumeLine> {
  const { catalog, library, drives } = parts;
  const { state } = await need(parts, barcode);
  if (state === 'exported') throw refusal(`volume ${barcode} is exported already`);
  await catalog.exportVolume(barcode);
  try {
    await unread(parts.recaller, barcode, signal);
    if (signal.aborted) throw new HsmError('ECANCELED', `volume ${barcode} stays: recalls still want it`, { exit: 130 });
    await drives.putBack(barcode);
    return { barcode, state: 'exported', location: await library.exportCartridge(barcode) };
  } catch (error) {
    // One that is not there is on the shelf already.
    if (errorCode(error) === 'NO_VOLUME') return { barcode, state: 'exported', location: 'not in the library' };
    await catalog.importVolume(barcode);
    await parts.recaller.volumeIsBack();
    throw error;
  }
}

/** Its label must be the one that the catalogue has: else it stays exported. */
export async function importVolume(parts: ShelfParts, barcode: string): Promise<MovedVolumeLine> {
  const { catalog, library, drives, recaller } = parts;
  const { state, serial, objects } = await need(parts, barcode);
  if (state !== 'exported') throw refusal(`volume ${barcode} is ${state}, not exported`);
  await library.importCartridge(barcode);
  await drives.withVolume(barcode, 'read', 'bulk', async (medium) => {
    const isBlank = objects === 0 && (await readLabel(medium)) === 'blank';
    if (!isBlank) await checkVolumeLabel(medium, serial);
  });
  await catalog.importVolume(barcode);
  await recaller.volumeIsBack();
  return { barcode, state: (await need(parts, barcode)).state, location: null };
}

/** Never appended to until it is unlocked. */
export async function lockVolume(parts: Pick<Daemon, 'catalog'>, barcode: string, reason: string | null): Promise<MovedVolumeLine> {
  const { state } = await need(parts, barcode);
  if (state !== 'scratch' && state !== 'writable' && state !== 'full' && state !== 'readonly') throw refusal(`volume ${barcode} is ${state}: it is not written anyway`);
  await parts.catalog.setVolume(barcode, { state: 'readonly', reason: reason === null ? 'locked' : `locked: ${reason}` });
  return { barcode, state: 'readonly', location: null };
}

export async function unlockVolume(parts: Pick<Daemon, 'catalog'>, barcode: string): Promise<MovedVolumeLine> {
  const { state, objects, used, capacity, pool } = await need(parts, barcode);
  if (state !== 'readonly') throw refusal(`volume ${barcode} is ${state}, not locked`);
  const to = objects === 0 && (used === 0 || pool === null) ? 'scratch' : used >= capacity ? 'full' : 'writable';
  await parts.catalog.setVolume(barcode, { state: to, reason: null });
  return { barcode, state: to, location: null };
}

/** Leaves the library and the catalogue. */
export async function retireVolume(parts: ShelfParts, barcode: string, signal: AbortSignal): Promise<MovedVolumeLine> {
  const { objects, state } = await need(parts, barcode);
  if (objects > 0) throw refusal(`volume ${barcode} holds ${objects} objects: hsm tape reclaim ${barcode} first`);
  const location = state === 'exported' ? null : (await exportVolume(parts, barcode, signal)).location;
  await parts.catalog.removeVolume(barcode);
  return { barcode, state: 'retired', location };
}

/** What the tape itself says that it is. */
export async function labelOf(parts: Pick<Daemon, 'catalog' | 'drives'>, barcode: string): Promise<LabelLine> {
  const { serial } = await need(parts, barcode);
  const found = await parts.drives.withVolume(barcode, 'read', 'bulk', readLabel);
  const label = found === null || found === 'blank' ? null : found;
  return { barcode, label: found === 'blank' ? 'blank' : (label?.barcode ?? null), serial: label?.serial ?? null, isRight: label?.barcode === barcode && (serial === null || serial === label.serial) };
}
