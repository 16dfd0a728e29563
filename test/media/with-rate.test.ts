import test from 'ava';
import { decorate } from '../../src/media/decorators/decorate.ts';
import { withRate } from '../../src/media/decorators/with-rate.ts';
import type { Medium } from '../../src/media/medium.ts';

test('blocks come no faster than wanted, and what a pause saved is not made up for', async (t) => {
  let now = 1000;
  const clock = { now: () => now, sleep: async (ms: number) => void (now += ms) };
  const blocks: (Buffer | 'filemark')[] = [Buffer.alloc(100), Buffer.alloc(100), 'filemark', Buffer.alloc(50), Buffer.alloc(10)];
  const slow = withRate(decorate({} as Medium, { readBlock: async () => blocks.shift() ?? 'end' }), 100, clock);
  const at: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    if (i === 3) now += 5000;
    await slow.readBlock(Buffer.alloc(100));
    at.push(now);
  }
  t.deepEqual(at, [1000, 2000, 3000, 8000, 8500]);
});
