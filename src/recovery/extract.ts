/** One member of a container into a file of its own, its hash compared. */
import { open } from 'node:fs/promises';
import { HsmError } from '../errors.ts';
import { extractMembers } from '../media/containers.ts';
import type { IndexEntry } from '../media/format.ts';
import type { BlockAddress, Medium } from '../media/medium.ts';
import { extractStatus } from '../native/index.ts';

/** Replaces `path`. Fails with `HASH_MISMATCH` (another copy may be good) where the member is not what its index says, or as the medium does. */
export async function extractTo(path: string, medium: Medium, start: BlockAddress, entry: IndexEntry): Promise<void> {
  const file = await open(path, 'w+', 0o600);
  try {
    await file.truncate(entry.size);
    const [status] = await extractMembers(medium, start, [{ offset: entry.offset, objectId: entry.object, size: entry.size, sha256: entry.sha256, fd: file.fd, record: null }]);
    if (status !== extractStatus.restored) {
      throw new HsmError('HASH_MISMATCH', `${entry.name.toString()} on ${medium.barcode} is damaged`, { retry: 'other-copy' });
    }
  } finally {
    await file.close();
  }
}
