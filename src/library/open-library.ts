/** Opens the library that the configuration names, whatever kind it is. */
import type { LibrarySettings, ScsiLibrarySettings, VirtualLibrarySettings } from '../config.ts';
import { HsmError, exitCodes } from '../errors.ts';
import { openStDevice } from '../media/st/st-device.ts';
import type { OperatorRequest } from './changer.ts';
import type { AddedCartridge, NewCartridges } from './create-library.ts';
import type { ToldByDrive } from './drive-examiner.ts';
import type { Library } from './library.ts';
import { readLibraryConfig } from './layout.ts';
import { openLtfsFolderLibrary, openLtfsTapeLibrary } from './ltfs-library.ts';
import { MtxChanger } from './mtx-changer.ts';
import { OperatorChanger } from './operator-changer.ts';
import { openScsiLibrary, type ScsiDriveOptions } from './scsi-library.ts';
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
  /** Puts a cartridge that is in a slot where a person takes it; resolves with where that is, for people. `NO_VOLUME`, `EBUSY` in a drive, `EIO` when no place is free. */
  exportCartridge(barcode: string): Promise<string>;
  /** Takes a cartridge that came back into a slot; nothing is to do for one that is in a slot. `NO_VOLUME` when it is not there. */
  importCartridge(barcode: string): Promise<void>;
  /** What waits for an operator's hand. */
  readonly requests: readonly OperatorRequest[];
  /** Cleans a drive that holds nothing that anybody uses: scsi-library.ts. Left out where there is nothing to clean. */
  clean?(barcode: string, drive: string, timeoutMs: number): Promise<void>;
  /** Serial numbers of the drives that have told theirs, by their names. */
  readonly serials?: ReadonlyMap<string, string>;
}

export interface OpenLibraryOptions {
  readonly onRequest?: (request: OperatorRequest) => void;
  readonly onWithdrawn?: (request: OperatorRequest, reason: string) => void;
  /** Whether a cartridge has never been written; without it any may be. */
  readonly mayBeBlank?: (barcode: string) => Promise<boolean>;
  /** What drives tell of themselves and of the cartridges in them; those of a virtual library tell nothing. */
  readonly onTold?: (told: ToldByDrive) => void;
}

/** Fails with `CONFIG` when the library is not what the configuration says, `REFUSED` when another process has it. */
export async function openLibrary(settings: LibrarySettings, { onRequest, onWithdrawn, onTold, mayBeBlank = async () => true }: OpenLibraryOptions = {}): Promise<CartridgeLibrary> {
  if (settings.kind === 'virtual') {
    await requireFormat(settings);
    return settings.format === 'ltfs' ? openLtfsFolderLibrary(settings) : openVirtualLibrary(settings.path, { timing: settings.timing });
  }
  const common = {
    dir: settings.path,
    openDevice: openStDevice,
    capacityOf: (barcode: string) => settings.capacity ?? nativeCapacity(barcode),
    loadTimeoutMs: settings.loadTimeoutS * 1000,
    largestBlock: 2 ** 20,
    ...(onTold === undefined ? {} : { onTold }),
  };
  const { changer } = settings;
  if (changer === null) {
    if (settings.format === 'ltfs') throw new HsmError('CONFIG', 'LTFS volumes need a robot: set library.changer in the config, or format = "tar"', { exit: exitCodes.usage });
    const serials = await knownSerials(settings.drives);
    const drives = settings.drives.map(({ name, device }, element) => ({ name, device, element, serial: serials[element] ?? null }));
    return openScsiLibrary({ ...common, drives, openChanger: () => OperatorChanger.open({ ...common, drives, mayBeBlank, ...(onRequest === undefined ? {} : { onRequest }), ...(onWithdrawn === undefined ? {} : { onWithdrawn }) }) });
  }
  const options = { ...common, drives: await withElements(settings.drives, changer), openChanger: async () => new MtxChanger({ device: changer }) };
  return settings.format === 'ltfs' ? openLtfsTapeLibrary(options, settings) : openScsiLibrary(options);
}

async function requireFormat({ path, format }: VirtualLibrarySettings): Promise<void> {
  const { format: found } = await readLibraryConfig(path);
  if (found === format) return;
  throw new HsmError('CONFIG', `the library in ${path} holds ${found} volumes and the configuration says ${format}: set format = "${found}" in [library]`, { exit: exitCodes.usage, path });
}

async function withElements(drives: ScsiLibrarySettings['drives'], changer: string): Promise<ScsiDriveOptions[]> {
  const serials = await knownSerials(drives);
  if (drives.every(({ element }) => element !== null)) return drives.map(({ name, device, element }, i) => ({ name, device, element: element ?? 0, serial: serials[i] ?? null }));
  // Where nothing else tells the drives apart, each must answer.
  const asked = await Promise.all(drives.map(async ({ device }, i) => serials[i] ?? serialNumber(device)));
  const found = elementsOf(asked, await drivesOfChanger(changer));
  return drives.map(({ name, device, element }, i) => {
    const number = element ?? found[i] ?? null;
    if (number !== null) return { name, device, element: number, serial: asked[i] ?? null };
    throw new HsmError('CONFIG', `the robot ${changer} does not say which of its drives is ${device} (serial ${asked[i]}): set element for ${name} in the config`, { exit: exitCodes.usage });
  });
}

/** Null for drives that cannot be asked now. */
const knownSerials = (drives: ScsiLibrarySettings['drives']): Promise<(string | null)[]> =>
  Promise.all(drives.map(({ device }) => serialNumber(device).then((serial) => serial || null, () => null)));
