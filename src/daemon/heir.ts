/** What the daemon does when its keeper dies. */
import { spawn } from 'node:child_process';
import type { KeeperFds } from './daemon.ts';

/**
 * Starts `command`, a keeper that inherits group and table as its fds 3 and 4, and ends this process. The keeper's witness may have died
 * with it: were this process's fd of the group the last one to be closed, the kernel would let every waiting reader through to zeros.
 * Of several heirs one becomes the next keeper.
 */
export function leaveToHeir([command = '', ...words]: readonly string[], fds: Pick<KeeperFds, 'group' | 'table'>): void {
  // spawn() returns after the child's exec: from then on the child holds them.
  const child = spawn(command, words, { stdio: ['inherit', 'inherit', 'inherit', fds.group, fds.table], detached: true });
  if (child.pid !== undefined) process.exit(71);
  child.once('error', () => setTimeout(() => leaveToHeir([command, ...words], fds), 100));
}

/** The fds as an heir finds them. */
export const inherited = { group: 3, table: 4 } as const;
