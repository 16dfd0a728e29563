/** The volumes: what the catalogue knows of them and where the library has them, and new ones. */
import type { VolumeUsage } from '../catalog/model.ts';
import { HsmError } from '../errors.ts';
import type { Daemon } from './daemon.ts';
import { integer, optionalText, textList, type Params } from './params.ts';

export type LocatedVolume = VolumeUsage & { readonly location: string };

export async function locatedVolumes({ catalog, library }: Pick<Daemon, 'catalog' | 'library'>): Promise<LocatedVolume[]> {
  const { drives, slots } = await library.inventory();
  const places = new Map<string, string>();
  for (const { slot, barcode } of slots) if (barcode !== null) places.set(barcode, `slot ${slot}`);
  for (const { name, barcode } of drives) if (barcode !== null) places.set(barcode, name);
  return (await catalog.volumeUsage()).map((volume) => ({ ...volume, location: places.get(volume.barcode) ?? 'missing' }));
}

const mostAtOnce = 1000;

/** New cartridges in the library, known to the catalogue. */
export async function addTapes({ catalog, library }: Pick<Daemon, 'catalog' | 'library'>, params: Params): Promise<LocatedVolume[]> {
  const barcodes = params['barcodes'] === undefined ? [] : textList(params, 'barcodes');
  const count = integer(params, 'count', barcodes.length > 0 ? barcodes.length : 1);
  if (count < 1 || count > mostAtOnce) throw new HsmError('USAGE', `1 to ${mostAtOnce} cartridges can be added at a time`, { exit: 2 });
  const pool = optionalText(params, 'pool');
  const capacity = params['capacity'] === undefined || params['capacity'] === null ? {} : { capacity: integer(params, 'capacity') };
  const added = await library.addCartridges(barcodes.length > 0 ? { barcodes, ...capacity } : { count, ...capacity });
  for (const cartridge of added) await catalog.addVolume({ barcode: cartridge.barcode, pool, capacity: cartridge.capacity });
  const names = new Set(added.map(({ barcode }) => barcode));
  return (await locatedVolumes({ catalog, library })).filter(({ barcode }) => names.has(barcode));
}
