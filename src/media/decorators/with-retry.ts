import { errorCode } from '../../errors.ts';
import type { Medium } from '../medium.ts';
import { decorate } from './decorate.ts';

export interface RetryOptions {
  /** Tries in all, the first one counted (default 3). */
  readonly tries?: number;
}

/**
 * Reads a block again when it fails with `EIO`, from the position where it began: drives and disks often succeed at
 * the second try. Nothing else is tried again: after a failed write nobody knows what is on the volume.
 */
export function withRetry(medium: Medium, options: RetryOptions = {}): Medium {
  const tries = options.tries ?? 3;
  return decorate(medium, {
    readBlock: (into) => readAgain(medium, into, tries),
  });
}

async function readAgain(medium: Medium, into: Buffer, tries: number): Promise<Buffer | 'filemark' | 'end'> {
  const address = await medium.position();
  for (let tried = 1; ; tried += 1) {
    try {
      return await medium.readBlock(into);
    } catch (error) {
      if (errorCode(error) !== 'EIO' || tried >= tries) throw error;
      await medium.locate(address);
    }
  }
}
