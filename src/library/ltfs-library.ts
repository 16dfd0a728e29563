/** Libraries whose volumes are LTFS: a robot with real drives, or folders of LTFS's file backend. */
import { join } from 'node:path';
import type { ScsiLibrarySettings, VirtualLibrarySettings } from '../config.ts';
import { HsmError } from '../errors.ts';
import { openLtfsMedium } from '../media/ltfs/ltfs-medium.ts';
import { openStDevice } from '../media/st/st-device.ts';
import type { TapeDevice } from '../media/st/tape-device.ts';
import { makeLtfsCartridges } from './create-library.ts';
import { openFolderChanger } from './folder-changer.ts';
import { libraryPaths, readLibraryConfig } from './layout.ts';
import { freeLtfs, mountLtfs, type LtfsDevice, type LtfsPrograms } from './ltfs-mount.ts';
import { openScsiLibrary, type ScsiDriveOptions, type ScsiLibrary, type ScsiLibraryOptions } from './scsi-library.ts';
import { serialNumber } from './scsi-serials.ts';

/** A stop of the daemon does not wait for an index to be written to tape: ltfs goes on by itself, and the next daemon waits for it. */
const closePatienceMs = 5000;

/** Drives behind a robot: the st driver tells when one is ready and ejects; between that, the drive is LTFS's, by its serial number. */
export function openLtfsTapeLibrary(options: ScsiLibraryOptions, settings: Pick<ScsiLibrarySettings, 'path' | 'loadTimeoutS'>): Promise<ScsiLibrary> {
  const deviceOf = async ({ device }: ScsiDriveOptions): Promise<LtfsDevice> => ({ name: await serialNumber(device), backend: 'drive' });
  return openScsiLibrary({ ...options, ...withLtfs(settings.path, options.drives, openStDevice, deviceOf, settings.loadTimeoutS * 1000) });
}

/** Cartridges that are folders. Fails with `CONFIG` when `path` holds no library. */
export async function openLtfsFolderLibrary({ path }: Pick<VirtualLibrarySettings, 'path'>, programs?: LtfsPrograms): Promise<ScsiLibrary> {
  const { drives: count, capacity } = await readLibraryConfig(path);
  const drives = Array.from({ length: count }, (_, element) => ({ name: `drive${element}`, device: `drive${element}`, element }));
  const deviceOf = async (_: ScsiDriveOptions, barcode: string): Promise<LtfsDevice> => ({ name: join(libraryPaths(path).cartridges, barcode), backend: 'file' });
  return openScsiLibrary({
    dir: path,
    openChanger: () => openFolderChanger(path, drives.map(({ name }) => name)),
    drives,
    capacityOf: () => capacity,
    loadTimeoutMs: folderTimeoutMs,
    largestBlock: 2 ** 20,
    makeCartridges: (wanted) => makeLtfsCartridges(path, wanted, programs),
    ...withLtfs(path, drives, async () => folderDevice, deviceOf, folderTimeoutMs, programs),
  });
}

const folderTimeoutMs = 120_000;

type WithLtfs = Pick<ScsiLibraryOptions, 'openDevice' | 'openVolume' | 'closePatienceMs'>;

function withLtfs(
  dir: string,
  drives: readonly ScsiDriveOptions[],
  openDevice: ScsiLibraryOptions['openDevice'],
  deviceOf: (drive: ScsiDriveOptions, barcode: string) => Promise<LtfsDevice>,
  mountTimeoutMs: number,
  programs?: LtfsPrograms,
): WithLtfs {
  const mountPoint = (name: string): string => join(dir, 'mounts', name);
  return {
    closePatienceMs,
    openDevice: async (path) => {
      const drive = drives.find(({ device }) => device === path);
      // To open a drive that an ltfs still has would destroy what that one writes.
      if (drive !== undefined) await freeLtfs({ mountPoint: mountPoint(drive.name) });
      return openDevice(path);
    },
    openVolume: async (barcode, drive) => {
      const device = await deviceOf(drive, barcode);
      const volume = await mountLtfs({ barcode, device, mountPoint: mountPoint(drive.name), mountTimeoutMs, ...(programs === undefined ? {} : { programs }) });
      return openLtfsMedium(volume, barcode);
    },
  };
}

/** A drive of the file backend is always ready, and there is nothing to be done with it but by LTFS. */
const folderDevice: TapeDevice = {
  operation: async () => undefined,
  status: async () => ({
    file: 0,
    block: 0,
    partition: 0,
    density: 0,
    beginning: true,
    filemark: false,
    earlyWarning: false,
    endOfData: false,
    writeProtected: false,
    online: true,
    doorOpen: false,
    cleaning: false,
  }),
  position: () => notATape(),
  read: () => notATape(),
  write: () => notATape(),
  close: () => undefined,
};

const notATape = (): Promise<never> => Promise.reject(new HsmError('EIO', 'a folder of LTFS is no tape drive'));
