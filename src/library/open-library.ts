/** Opens the library that the configuration names, whatever kind it is. */
import type { LibrarySettings, ScsiLibrarySettings, VirtualLibrarySettings } from '../config.ts';
import { HsmError, exitCodes } from '../errors.ts';
import { openStDevice } from '../media/st/st-device.ts';
import type { AddedCartridge, NewCartridges } from './create-library.ts';
import type { Library } from './library.ts';
import { readLibraryConfig } from './layout.ts';
import { openLtfsFolderLibrary, openLtfsTapeLibrary } from './ltfs-library.ts';
import { MtxChanger } from './mtx-changer.ts';
import { openScsiLibrary, type ScsiDriveOptions, type ScsiLibraryOptions } from './scsi-library.ts';
import { drivesOfChanger, elementsOf, serialNumber } from './scsi-serials.ts';
import { nativeCapacity } from './timing.ts';
import { openVirtualLibrary } from './virtual-library.ts';

/** A library that cartridges come to. */
export interface CartridgeLibrary extends Library {
  /**
   * A virtual library makes them; a real one checks that they are there, and says what they hold. Fails with `NO_VOLUME` for one that
   * is not there, `USAGE` where cartridges have to be named.
   */
  addCartridges(wanted: NewCartridges): Promise<AddedCartridge[]>;
  /** Looks at every slot again, for cartridges that came and went by hand. */
  rescan(): Promise<void>;
}

/** Fails with `CONFIG` when the library is not what the configuration says, `REFUSED` when another process has it. */
export async function openLibrary(settings: LibrarySettings): Promise<CartridgeLibrary> {
  if (settings.kind === 'virtual') {
    await requireFormat(settings);
    return settings.format === 'ltfs' ? openLtfsFolderLibrary(settings) : openVirtualLibrary(settings.path, { timing: settings.timing });
  }
  const options: ScsiLibraryOptions = {
    dir: settings.path,
    changer: new MtxChanger({ device: settings.changer }),
    drives: await withElements(settings.drives, settings.changer),
    openDevice: openStDevice,
    capacityOf: (barcode) => settings.capacity ?? nativeCapacity(barcode),
    loadTimeoutMs: settings.loadTimeoutS * 1000,
    largestBlock: 2 ** 20,
  };
  return settings.format === 'ltfs' ? openLtfsTapeLibrary(options, settings) : openScsiLibrary(options);
}

async function requireFormat({ path, format }: VirtualLibrarySettings): Promise<void> {
  const { format: found } = await readLibraryConfig(path);
  if (found === format) return;
  throw new HsmError('CONFIG', `the library in ${path} holds ${found} volumes and the configuration says ${format}: set format = "${found}" in [library]`, { exit: exitCodes.usage, path });
}

async function withElements(drives: ScsiLibrarySettings['drives'], changer: string): Promise<ScsiDriveOptions[]> {
  if (drives.every(({ element }) => element !== null)) return drives.map(({ name, device, element }) => ({ name, device, element: element ?? 0 }));
  const serials = await Promise.all(drives.map(({ device }) => serialNumber(device)));
  const found = elementsOf(serials, await drivesOfChanger(changer));
  return drives.map(({ name, device, element }, i) => {
    const number = element ?? found[i] ?? null;
    if (number !== null) return { name, device, element: number };
    throw new HsmError('CONFIG', `the robot ${changer} does not say which of its drives is ${device} (serial ${serials[i]}): set element for ${name} in the config`, { exit: exitCodes.usage });
  });
}
