/** Everything around the making of a catalogue: nobody else at work, library, filesystems, and the place it goes to. */
import { chmodSync, closeSync, existsSync } from 'node:fs';
import { placeCatalogue } from '../catalog/rebuild/place.ts';
import { cataloguePath, type Config } from '../config.ts';
import { connect } from '../daemon/client.ts';
import { errorCode, HsmError, refusal } from '../errors.ts';
import type { OperatorRequest } from '../library/changer.ts';
import { isCleaner } from '../library/cleaning-cartridge.ts';
import { DrivePool } from '../library/drive-pool.ts';
import { openLibrary } from '../library/open-library.ts';
import { filesystemId, mountOf, mounts } from '../mounts.ts';
import { native } from '../native/index.ts';
import { buildCatalogue, type MountedNow, type RebuildObserver, type RebuildRequest, type RebuildSummary } from './rebuild.ts';

export interface RunRequest extends RebuildRequest {
  /** A catalogue that is there is kept under another name. */
  readonly replace: boolean;
  stopRequested(): boolean;
}

export interface RunObserver extends RebuildObserver {
  /** A filesystem of the configuration that cannot be looked at. */
  unmounted(path: string): void;
  /** An operator is to put a cartridge in. */
  asked(request: OperatorRequest): void;
}

/** Fails with `REFUSED` (exit 5) while a daemon runs or, without `replace`, where a catalogue is. `kept`: what that one is called now. */
export async function runRebuild(config: Config, request: RunRequest, observer: RunObserver): Promise<{ readonly summary: RebuildSummary; readonly kept: string | null }> {
  if (process.getuid?.() !== 0) throw new HsmError('EPERM', 'hsm rebuild must run as root: it reads cartridges and everybody\'s files');
  const place = cataloguePath(config.state);
  if (existsSync(place) && !request.replace) throw refusal(`${place} exists: --replace puts a new one in its place and keeps the old one under another name`, place);
  await refuseDaemon(config.socket);
  const library = await openLibrary(config.library, { onRequest: (asked) => observer.asked(asked) });
  const opened: Opened[] = [];
  try {
    const drives = await DrivePool.open(library);
    try {
      for (const path of config.filesystems) {
        const filesystem = openMounted(path);
        if (filesystem === null) observer.unmounted(path);
        else opened.push(filesystem);
      }
      const { drives: inDrives, slots } = await library.inventory();
      const barcodes = [...inDrives, ...slots].flatMap(({ barcode }) => (barcode === null || (isCleaner(barcode, config.library) && !request.include.includes(barcode)) ? [] : [barcode]));
      const path = `${place}.rebuild`;
      const context = { drives, barcodes, filesystems: opened, pools: config.archive.pools, path, now: () => Date.now(), stopRequested: () => request.stopRequested() };
      const summary = await buildCatalogue(context, request, observer);
      // It knows the names of everybody's files.
      chmodSync(path, 0o600);
      return { summary, kept: placeCatalogue(path, place, new Date()) };
    } finally {
      await drives.close();
    }
  } finally {
    for (const { treeFd, mountFd } of opened) {
      closeSync(mountFd);
      closeSync(treeFd);
    }
    await library.close();
  }
}

async function refuseDaemon(socket: string): Promise<void> {
  try {
    const client = await connect(socket);
    client.close();
  } catch (error) {
    if (errorCode(error) === 'NO_DAEMON') return;
    throw error;
  }
  throw refusal(`a daemon runs (it listens on ${socket}): stop it first, with systemctl stop hsm or SIGTERM`, socket);
}

interface Opened extends MountedNow {
  readonly treeFd: number;
}

/** Through a mount of its own: what is looked at there raises no events. */
function openMounted(path: string): Opened | null {
  const mount = mountOf(path, mounts());
  if (mount?.path !== path) return null;
  const { treeFd, dirFd } = native.openPrivateMount(path);
  return { path, type: mount.type, uuid: filesystemId(mount), mountFd: dirFd, treeFd };
}
