/** The volumes: what the catalogue knows of them and where the library has them, and new ones. */
import type { VolumeUsage } from '../catalog/model.ts';
import { errorCode, HsmError, refusal } from '../errors.ts';
import { firstContainerAddress, labelVolume, readVolumeLabel } from '../media/containers.ts';
import type { Medium } from '../media/medium.ts';
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
export async function elements({ catalog, library }: Pick<Daemon, 'catalog' | 'library'>, rescan: boolean): Promise<ElementLine[]> {
  if (rescan) await library.rescan();
  const { drives, slots } = await library.inventory();
  const states = new Map((await catalog.volumes()).map(({ barcode, state }) => [barcode, state] as const));
  const line = (location: string, barcode: string | null): ElementLine => ({ location, barcode, state: barcode === null ? null : (states.get(barcode) ?? null) });
  return [...drives.map(({ name, barcode }) => line(name, barcode)), ...slots.map(({ slot, barcode }) => line(`slot ${slot}`, barcode))];
}

const mostAtOnce = 1000;

/**
 * Cartridges that become volumes of the catalogue: new ones of a virtual library, those that are in a real one. There, where none is
 * named, all that the catalogue does not know, but for cleaning cartridges.
 */
export async function addTapes({ catalog, library, config }: Pick<Daemon, 'catalog' | 'library' | 'config'>, params: Params): Promise<LocatedVolume[]> {
  const named = params['barcodes'] === undefined ? [] : textList(params, 'barcodes');
  const barcodes = named.length > 0 || config.library.kind === 'virtual' ? named : await unknownCartridges({ catalog, library });
  if (barcodes.length === 0 && config.library.kind !== 'virtual') return [];
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
    // Nobody else writes to a volume that we hold, so what the catalogue says now stays true.
    const [object] = await catalog.objectsOnVolume(barcode, null, 1);
    if (object !== undefined) throw refusal(`volume ${barcode} holds objects: it is not formatted`);
    const label = await labelOf(medium);
    if (!force && label !== 'blank' && label !== barcode) {
      const found = label === null ? 'data that hsm did not write' : `the label of ${label}`;
      throw refusal(`${barcode} bears ${found}: --force destroys it`);
    }
    const serial = await labelVolume(medium);
    await catalog.setVolume(barcode, { state: 'scratch', reason: null, serial, endBlock: firstContainerAddress, used: (await medium.capacity()).used });
  });
}

/** A tape whose beginning cannot be read has no label that anybody could respect. */
const labelOf = (medium: Medium): Promise<string | null> =>
  readVolumeLabel(medium).catch((error: unknown) => {
    if (errorCode(error) === 'EIO') return null;
    throw error;
  });

const isCleaning = (barcode: string): boolean => barcode.startsWith('CLN');

async function unknownCartridges({ catalog, library }: Pick<Daemon, 'catalog' | 'library'>): Promise<string[]> {
  const { drives, slots } = await library.inventory();
  const known = new Set((await catalog.volumes()).map(({ barcode }) => barcode));
  return [...slots, ...drives].flatMap(({ barcode }) => (barcode === null || known.has(barcode) || isCleaning(barcode) ? [] : [barcode]));
}
