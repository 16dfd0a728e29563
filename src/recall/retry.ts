/** A file whose recall failed is asked for once more, by nobody but the queue. */
import { closeSync, constants } from 'node:fs';
import { relative } from 'node:path';
import { HsmError } from '../errors.ts';
import { native } from '../native/index.ts';
import { readInode } from './classify.ts';
import type { Failures } from './failures.ts';
import type { Wanted } from './recaller-options.ts';
import type { ManagedFilesystem } from './restorer.ts';

/** No job has this number. */
const nobody = 0;

/** Null when it is not known as failed. Fails with `ENOENT` and the like, or `EINVAL` where the file is no stub any more; it then stays among the failed. */
export function wantedAgain(failed: Failures, id: number, filesystems: readonly ManagedFilesystem[]): Wanted | null {
  const known = failed.find(`r${id}`);
  const filesystem = filesystems[known?.filesystem ?? -1];
  if (known === undefined || filesystem === undefined) return null;
  const { path } = known.row;
  const relPath = known.relPath ?? Buffer.from(relative(filesystem.path, path));
  const fd = native.openBeneath(filesystem.mountFd, relPath, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOATIME);
  try {
    const { stat, bytes } = readInode(fd);
    if (bytes === null) throw new HsmError('EINVAL', `${path} is no stub any more`, { path });
    failed.delete(known);
    return { filesystem: known.filesystem, ino: stat.ino, bytes, path, interest: { job: nobody, relPath, ended: () => undefined }, ahead: null };
  } finally {
    closeSync(fd);
  }
}
