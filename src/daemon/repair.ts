/** What a daemon that was killed left half done: files that were being recalled are stubs again, or whole. */
import { closeSync, constants } from 'node:fs';
import { native } from '../native/index.ts';
import { classify, readInode, timesOf } from '../recall/classify.ts';
import type { Daemon, DaemonFilesystem } from './daemon.ts';
import type { FileRow } from '../catalog/model.ts';

/** Files at a time; there are never more than a few hundred. */
const page = 1000;

export async function repairInterrupted(daemon: Daemon): Promise<void> {
  for (const filesystem of daemon.filesystems.filter(({ mountFd }) => mountFd >= 0)) {
    for (const row of await daemon.catalog.filesInState(filesystem.id, 'recalling', page)) {
      const unlock = filesystem.locks.tryLock(row.ino);
      if (unlock === null) continue; // its reader still waits, so it is being recalled again
      try {
        await repairFile(daemon, filesystem, row);
      } catch (error) {
        daemon.log.warn({ err: error, ino: row.ino }, 'a file whose recall was interrupted could not be looked at');
      } finally {
        unlock();
      }
    }
  }
}

/** The record decides: with it the file is a stub, whose partial data is freed; without it the recall had been finished. */
async function repairFile({ catalog }: Daemon, filesystem: DaemonFilesystem, row: FileRow): Promise<void> {
  const path = await catalog.pathOf(filesystem.id, row.ino);
  if (path === undefined) return;
  const fd = native.openBeneath(filesystem.mountFd, path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const inode = readInode(fd);
    if (inode.stat.ino !== row.ino || inode.handleHash !== row.handleHash) return;
    const verdict = classify(inode);
    if (verdict.kind === 'stub' && verdict.own) {
      await native.undoRestore({ fd, size: inode.stat.size, ...timesOf(inode.stat, verdict.record) });
      await catalog.moveFiles(filesystem.id, [{ ino: row.ino, to: 'stub' }]);
    } else if (inode.bytes === null) {
      await catalog.moveFiles(filesystem.id, [{ ino: row.ino, to: 'archived' }]);
    }
  } finally {
    closeSync(fd);
  }
}
