import { errorCode } from '../../errors.ts';
import type { Medium } from '../medium.ts';
import { decorate } from './decorate.ts';

/** Counters of one drive or volume; they only grow. */
export interface MediumCounters {
  bytesRead: number;
  bytesWritten: number;
  blocksRead: number;
  blocksWritten: number;
  filemarks: number;
  syncs: number;
  locates: number;
  /** Failures that say something about volume or drive, not about the caller: `EIO`. */
  errors: number;
  /** Milliseconds spent inside reads, writes and filemarks, and inside locates and rewinds. */
  transferMs: number;
  locateMs: number;
}

export const newMediumCounters = (): MediumCounters => ({
  bytesRead: 0,
  bytesWritten: 0,
  blocksRead: 0,
  blocksWritten: 0,
  filemarks: 0,
  syncs: 0,
  locates: 0,
  errors: 0,
  transferMs: 0,
  locateMs: 0,
});

/** Counts what passes into `counters`. */
export function withMetrics(medium: Medium, counters: MediumCounters, now: () => number = () => performance.now()): Medium {
  const timed = async <T>(clock: 'transferMs' | 'locateMs', run: () => Promise<T>): Promise<T> => {
    const start = now();
    try {
      return await run();
    } catch (error) {
      if (errorCode(error) === 'EIO') counters.errors += 1;
      throw error;
    } finally {
      counters[clock] += now() - start;
    }
  };
  const locating = async <T>(run: () => Promise<T>): Promise<T> => {
    const result = await timed('locateMs', run);
    counters.locates += 1;
    return result;
  };
  return decorate(medium, {
    rewind: () => locating(() => medium.rewind()),
    locate: (address) => locating(() => medium.locate(address)),
    locateEnd: () => locating(() => medium.locateEnd()),
    readBlock: async (into) => {
      const block = await timed('transferMs', () => medium.readBlock(into));
      if (typeof block !== 'string') {
        counters.blocksRead += 1;
        counters.bytesRead += block.length;
      }
      return block;
    },
    writeBlock: async (data) => {
      const result = await timed('transferMs', () => medium.writeBlock(data));
      counters.blocksWritten += 1;
      counters.bytesWritten += data.length;
      return result;
    },
    writeFilemark: async (options) => {
      const result = await timed('transferMs', () => medium.writeFilemark(options));
      counters.filemarks += 1;
      if (options.sync) counters.syncs += 1;
      return result;
    },
  });
}
