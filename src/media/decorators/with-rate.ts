/** Reads no faster than wanted, for work that has time. */
import type { Medium } from '../medium.ts';
import { decorate } from './decorate.ts';

export interface RateClock {
  /** ms. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

const system: RateClock = { now: () => performance.now(), sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)) };

/** `rate`: bytes a second, on average from the first block on. What a pause let through is not made up for. */
export function withRate(medium: Medium, rate: number, clock: RateClock = system): Medium {
  let due = clock.now();
  return decorate(medium, {
    readBlock: async (into) => {
      const wait = due - clock.now();
      if (wait > 0) await clock.sleep(wait);
      const block = await medium.readBlock(into);
      if (Buffer.isBuffer(block)) due = Math.max(due, clock.now()) + (1000 * block.length) / rate;
      return block;
    },
  });
}
