/** Whether somebody has to go on denying access to stubs after a clean stop. */
import { native } from '../native/index.ts';

/**
 * True unless it is there (`mountFd` is not -1) and a walk over the whole filesystem found no record within `patienceMs`. The catalogue does not decide: a crash between an
 * eviction and its row, an older copy of it put back, or a restored backup leave stubs that it knows nothing of.
 */
export async function mayHaveStubs(mountFd: number, patienceMs: number): Promise<boolean> {
  if (mountFd < 0) return true;
  const walker = native.walk(mountFd, [Buffer.alloc(0)], { threads: 1, records: 'all' });
  const deadline = Date.now() + patienceMs;
  try {
    for (;;) {
      const batch = await walker.next();
      if (batch === null) return false;
      // Subvolumes of btrfs are guarded too, but not walked.
      const unseen = batch.errors.length + batch.otherFilesystems;
      if (unseen > 0 || batch.hasRecord.some((has) => has !== 0) || Date.now() > deadline) return true;
      walker.release(batch);
    }
  } catch {
    return true;
  } finally {
    walker.close();
  }
}
