import test from 'ava';
import { freeMemory } from '../../src/daemon/free-memory.ts';

test('memory that is not used any more is freed, as often as it is asked for', async (t) => {
  let garbage: Buffer | null = Buffer.alloc(2 ** 20);
  const { promise: collected, resolve } = Promise.withResolvers<void>();
  const registry = new FinalizationRegistry(() => resolve());
  registry.register(garbage, null);
  garbage = null;
  await freeMemory();
  await freeMemory();
  await collected;
  t.pass();
});
