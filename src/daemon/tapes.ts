/** The volumes: what the catalogue knows of them and where the library has them, and new ones. */
import { unknownData } from '../archiver/unknown-data.ts';
import type { Catalog, VolumeUsage } from '../catalog/model.ts';
import { errorCode, HsmError, refusal } from '../errors.ts';
import { isCleaner } from '../library/cleaning-cartridge.ts';
import { firstContainerAddress, labelVolume, readLabel } from '../media/containers.ts';
import type { VolumeLabel } from '../media/format.ts';
import type { BlockAddress, Medium } from '../media/medium.ts';
import { tapeFiles } from '../media/tape-files.ts';
import type { Daemon } from './daemon.ts';
import type { ElementLine } from './protocol.ts';
import { integer, optionalText, textList, type Params } from './params.ts';

export type LocatedVolume = VolumeUsage & { readonly location: string };

export async function locatedVolumes({ catalog, library }: Pick<Daemon, 'catalog' | 'library'>): Promise<LocatedVolume[]> {
  const { drives, slots } = await library.inventory();
  const places = new Map<string, string>();
  for (const { slot, barcode } of slots) if (barcode !== null) places.set(barcode, `slot ${slot}`);
  for (const { name, barcode } of drives) if (barcode !== null) places.set(barcode, name);
  return (await catalog.volumeUsage()).map((volume) => ({ ...volume, location: places.get(volume.barcode) ?? (volume.state === 'exported' ? 'shelf' : 'missing') }));
}

/** What is where, after a look at every slot if wanted. */
export async function elements({ catalog, library, config }: Pick<Daemon, 'catalog' | 'library' | 'config'>, rescan: boolean): Promise<ElementLine[]> {
  if (rescan) await library.rescan();
  const { drives, slots } = await library.inventory();
  const states = new Map((await catalog.volumes()).map(({ barcode, state }) => [barcode, state] as const));
  const line = (location: string, barcode: string | null): ElementLine => ({ location, barcode, state: barcode === null ? null : (states.get(barcode) ?? (isCleaner(barcode, config.library) ? 'cleaning' : null)) });
  return [...drives.map(({ name, barcode }) => line(name, barcode)), ...slots.map(({ slot, barcode }) => line(`slot ${slot}`, barcode))];
}

const mostAtOnce = 1000;

/**
 * Cartridges that become volumes of the catalogue: new ones of a virtual library, those that are in a real one. There, where none is
 * named, all that the catalogue does not know, but for cleaning cartridges.
 */
export async function addTapes({ catalog, library, config }: Pick<Daemon, 'catalog' | 'library' | 'config'>, params: Params): Promise<LocatedVolume[]> {
  const named = params['barcodes'] === undefined ? [] : textList(params, 'barcodes');
  const barcodes = named.length > 0 || config.library.kind === 'virtual' ? named : await unknownCartridges({ catalog, library, config });
  if (barcodes.length === 0 && config.library.kind !== 'virtual') return [];
  const cleaner = barcodes.find((barcode) => isCleaner(barcode, config.library));
  if (cleaner !== undefined) throw refusal(`${cleaner} is a cleaning cartridge by its barcode (library.cleaning_prefix): it is never written`);
  const count = integer(params, 'count', barcodes.length > 0 ? barcodes.length : 1);
  if (count < 1 || count > mostAtOnce) throw new HsmError('USAGE', `1 to ${mostAtOnce} cartridges can be added at a time`, { exit: 2 });
  const pool = optionalText(params, 'pool');
  const capacity = params['capacity'] === undefined || params['capacity'] === null ? {} : { capacity: integer(params, 'capacity') };
  const added = await library.addCartridges(barcodes.length > 0 ? { barcodes, ...capacity } : { count, ...capacity });
  for (const cartridge of added) await catalog.addVolume({ barcode: cartridge.barcode, pool, capacity: cartridge.capacity });
  const names = new Set(added.map(({ barcode }) => barcode));
  return (await locatedVolumes({ catalog, library })).filter(({ barcode }) => names.has(barcode));
}

/**
 * Writes a fresh label, which makes all data behind it unreachable, and makes the volume scratch. Refused while the catalogue has objects
 * on it; where the label is another volume's, or the data is not hsm's, `force` must say that this is meant.
 */
export async function formatTape({ catalog, drives }: Pick<Daemon, 'catalog' | 'drives'>, barcode: string, force: boolean): Promise<void> {
  const volume = (await catalog.volumeUsage()).find((each) => each.barcode === barcode);
  if (volume === undefined) throw new HsmError('NO_VOLUME', `volume ${barcode} is not in the catalogue: add it with 'hsm tape add'`);
  if (volume.objects > 0) throw refusal(`volume ${barcode} holds ${volume.objects} objects: it is not formatted`);
  await drives.withVolume(barcode, 'write', 'bulk', async (medium) => {
    if (!force) await refuseForeign(medium, catalog);
    // Before the tape is touched: of a container that was closed a moment ago the objects may still be on their way into the catalogue.
    await catalog.scratchVolume(barcode, firstContainerAddress);
    await catalog.setVolume(barcode, { serial: await labelVolume(medium) });
  });
}

/** Another's data, and that of a newer catalogue, is destroyed by --force only. */
async function refuseForeign(medium: Medium, catalog: Pick<Catalog, 'volume' | 'containers'>): Promise<void> {
  const { barcode } = medium;
  const serial = (await catalog.volume(barcode))?.serial ?? null;
  const label = await labelOf(medium);
  if (label === 'blank') return;
  if (label === null) throw refusal(`${barcode} bears data that hsm did not write: --force destroys it`);
  if (label.barcode !== barcode) throw refusal(`${barcode} bears the label of ${label.barcode}: --force destroys it`);
  const block = serial !== null && serial === label.serial ? await unknownData(medium, catalog).catch(() => 'unreadable' as const) : await firstData(medium);
  if (block !== null) throw refusal(`${barcode} holds data that the catalogue knows nothing of, or cannot be read: --force destroys it`);
}

/** Of a volume that was labelled under another catalogue, any data is unknown. */
async function firstData(medium: Medium): Promise<BlockAddress | null> {
  for await (const { start } of tapeFiles(medium)) return start;
  return null;
}

/** A tape whose beginning cannot be read has no label that anybody could respect. */
const labelOf = (medium: Medium): Promise<VolumeLabel | 'blank' | null> =>
  readLabel(medium).catch((error: unknown) => {
    if (errorCode(error) === 'EIO') return null;
    throw error;
  });

async function unknownCartridges({ catalog, library, config }: Pick<Daemon, 'catalog' | 'library' | 'config'>): Promise<string[]> {
  const { drives, slots } = await library.inventory();
  const known = new Set((await catalog.volumes()).map(({ barcode }) => barcode));
  return [...slots, ...drives].flatMap(({ barcode }) => (barcode === null || known.has(barcode) || isCleaner(barcode, config.library) ? [] : [barcode]));
}
