/** The managed filesystems while the daemon runs: what the keeper says has become of them, and how one is given up. */
import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { errorCode, HsmError, refusal } from '../errors.ts';
import { mounts, mountOf } from '../mounts.ts';
import { native } from '../native/index.ts';
import type { FilesystemChange } from '../recall/keeper-client.ts';
import type { Log } from '../recall/recaller-options.ts';
import type { Daemon, DaemonFilesystem } from './daemon.ts';

/** The kernel ends a filesystem some time after its last mount. */
const endPatienceMs = 5000;
const pauseMs = 20;

/** What the keeper told. */
export function applyChange(filesystem: DaemonFilesystem, { view, unguarded, superblock, fd }: FilesystemChange, log: Log): void {
  if (fd !== null) filesystem.mountFd = fd;
  filesystem.superblock = superblock;
  if (view === filesystem.view) return;
  filesystem.view = view;
  const { path } = filesystem;
  if (view === 'seen') filesystem.source = sourceOf(path);
  if (view === 'absent') log.info({ path }, 'a filesystem is not mounted');
  else if (view === 'another') log.warn({ path }, 'another filesystem is mounted in place of a managed one: its stubs are refused');
  else if (unguarded) {
    filesystem.unguardedSince ??= new Date();
    log.warn({ path }, 'a filesystem was mounted unguarded: who opened a stub in the moment before may have read zeros; use hsm mount');
  } else log.info({ path }, 'a filesystem is mounted and guarded');
}

export const sourceOf = (path: string): string | null => {
  const mount = mountOf(path);
  return mount?.path === path ? mount.source : null;
};

/** One line for `hsm status`; null when all is well. */
export function warningOf({ view, mountFd, unguardedSince }: DaemonFilesystem): string | null {
  if (view === 'another') return 'another filesystem is mounted in its place: its stubs are refused; if it is the right one, start hsm daemon anew';
  if (view === 'absent') return mountFd < 0 ? 'not mounted' : 'not mounted, but held by hsm: hsm umount frees the device';
  return unguardedSince === null ? null : `was mounted unguarded at ${unguardedSince.toISOString()}: use hsm mount`;
}

export interface Unmounted {
  readonly path: string;
  /** Where it is mounted still, so that its device is busy; stubs there are refused (EAGAIN). */
  readonly elsewhere: readonly string[];
  /** The device is free. */
  readonly free: boolean;
}

/** Fails with `REFUSED` (exit 5) while somebody waits for a stub on it or a job runs, with `EBUSY` while it is used; then nothing has changed. */
export async function unmountFilesystem(daemon: Daemon, filesystem: DaemonFilesystem): Promise<Unmounted> {
  const { path } = filesystem;
  refuseWhileUsed(daemon, filesystem);
  const index = daemon.filesystems.indexOf(filesystem);
  if (mountOf(path)?.path === path && filesystem.view !== 'another') await unmount(path);
  // A reader in a container, or through another mount, may have come meanwhile.
  refuseWhileUsed(daemon, filesystem);
  if (filesystem.mountFd >= 0) {
    closeSync(filesystem.mountFd);
    filesystem.mountFd = -1;
    daemon.keeper.letGo(index);
  }
  const free = await ended(filesystem);
  const elsewhere = free ? [] : mounts().flatMap((mount) => (mount.device === filesystem.superblock ? [mount.path] : []));
  daemon.log.info({ path, free }, 'a filesystem was unmounted');
  return { path, elsewhere, free };
}

function refuseWhileUsed({ filesystems, jobs, recaller }: Daemon, filesystem: DaemonFilesystem): void {
  const { path } = filesystem;
  const waited = recaller.wantedOn(filesystems.indexOf(filesystem));
  if (waited.length > 0) throw refusal(`${waited.length} stubs of ${path} are being recalled, ${waited[0]} first: wait for them, or hsm queue and hsm cancel`, path);
  const running = jobs.running();
  if (running.length > 0) throw refusal(`job ${running.join(', ')} is running: wait for it, or hsm cancel ${running[0]}`, path);
}

async function unmount(path: string): Promise<void> {
  try {
    await promisify(execFile)('umount', [path], { timeout: 60_000, env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` } });
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    throw new HsmError('EBUSY', stderr.trim().split('\n')[0] || `umount ${path} failed`, { path, retry: 'later', cause: error });
  }
}

/** Whether the filesystem goes, and its mark with it; then, usually, its device is free. */
async function ended({ superblock, source }: DaemonFilesystem): Promise<boolean> {
  const [major = 0, minor = 0] = (superblock ?? '').split(':').map(Number);
  const lives = (): Promise<boolean> => native.superblockLives(major, minor);
  for (const deadline = Date.now() + endPatienceMs; (await lives()) || isBusy(source); await sleep(pauseMs)) {
    if (Date.now() > deadline) return !(await lives());
  }
  return true;
}

/** open(2): a block device that is mounted cannot be opened exclusively. */
function isBusy(device: string | null): boolean {
  if (device === null) return false;
  try {
    closeSync(openSync(device, constants.O_RDONLY | constants.O_EXCL));
    return false;
  } catch (error) {
    return errorCode(error) === 'EBUSY';
  }
}
