/** Small files that are either the old or the new one after a crash. */
import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces `path` by `text`, durable when it resolves. A crash leaves the old file, or the new one, and perhaps `path.new`. */
export async function writeFileAtomic(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  const handle = await open(fresh, 'w', 0o644);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(fresh, path);
  await syncDirectory(dirname(path));
}

/** Removes a file if it is there, durable when it resolves. */
export async function removeDurably(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Makes entries that were made, renamed or removed in a directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
