import test from 'ava';
import type { ExecutionContext } from 'ava';
import { HsmError } from '../../src/errors.ts';
import { Faults, withFaults } from '../../src/media/decorators/with-faults.ts';
import { newMediumCounters, withMetrics } from '../../src/media/decorators/with-metrics.ts';
import { withRetry } from '../../src/media/decorators/with-retry.ts';
import { loadVirtualCartridge } from '../../src/media/virtual-cartridge.ts';
import type { VirtualCartridge } from '../../src/media/virtual-cartridge.ts';
import { newCartridge } from '../fixtures/cartridge.ts';

const into = (): Buffer => Buffer.alloc(100);

async function threeBlocks(t: ExecutionContext): Promise<VirtualCartridge> {
  const medium = await loadVirtualCartridge(await newCartridge(t, 2 ** 20));
  t.teardown(() => medium.abandon());
  for (const text of ['one', 'two', 'three']) await medium.writeBlock(Buffer.from(text));
  await medium.rewind();
  return medium;
}

test('withFaults fails the n-th operation of a kind, once', async (t) => {
  const medium = withFaults(await threeBlocks(t), new Faults().failNth('read', 2).failNth('locate', 1, 'EIO').failNth('write', 1, 'ENOSPC'));
  t.deepEqual(await medium.readBlock(into()), Buffer.from('one'));
  const error = await t.throwsAsync<HsmError>(medium.readBlock(into()), { instanceOf: HsmError, code: 'EIO' });
  t.is(error.retry, 'other-copy');
  t.is(await medium.position(), 1, 'nothing had happened');
  t.deepEqual(await medium.readBlock(into()), Buffer.from('two'));
  await t.throwsAsync(medium.locate(0), { code: 'EIO' });
  await medium.locate(3);
  await t.throwsAsync(medium.writeBlock(Buffer.from('x')), { code: 'ENOSPC' });
  await medium.writeBlock(Buffer.from('x'));
});

test('withFaults can report a failure of what has happened', async (t) => {
  const medium = withFaults(await threeBlocks(t), new Faults().failNth('write', 1, 'EIO', 'after').failNth('sync', 1, 'EIO', 'after'));
  await medium.locate(3);
  await t.throwsAsync(medium.writeBlock(Buffer.from('x')), { code: 'EIO' });
  t.is(await medium.position(), 4);
  await medium.writeFilemark({ sync: false });
  await t.throwsAsync(medium.writeFilemark({ sync: true }), { code: 'EIO' });
  t.is(await medium.position(), 6);
});

test('withFaults shortens a block, and flips one bit of another', async (t) => {
  const medium = withFaults(await threeBlocks(t), new Faults().shortRead(1).flipBit(2, 8));
  t.deepEqual(await medium.readBlock(into()), Buffer.from('on'));
  t.deepEqual(await medium.readBlock(into()), Buffer.from('tvo'));
  t.deepEqual(await medium.readBlock(into()), Buffer.from('three'));
});

test('withRetry reads again where the read began', async (t) => {
  for (const when of ['before', 'after'] as const) {
    const medium = withRetry(withFaults(await threeBlocks(t), new Faults().failNth('read', 1, 'EIO', when).failNth('read', 2, 'EIO', when)));
    t.deepEqual(await medium.readBlock(into()), Buffer.from('one'));
    t.deepEqual(await medium.readBlock(into()), Buffer.from('two'));
  }
});

test('withRetry gives up after its tries, and tries nothing else again', async (t) => {
  const faults = new Faults().failNth('read', 1).failNth('read', 2).failNth('write', 1).failNth('sync', 1);
  const medium = withRetry(withFaults(await threeBlocks(t), faults), { tries: 2 });
  await t.throwsAsync(medium.readBlock(into()), { code: 'EIO' });
  await t.throwsAsync(medium.readBlock(Buffer.alloc(1)), { code: 'ENOMEM' });
  t.is(await medium.position(), 1, 'a block that is too large stays passed');
  await t.throwsAsync(medium.writeBlock(Buffer.from('x')), { code: 'EIO' });
  await t.throwsAsync(medium.writeFilemark({ sync: true }), { code: 'EIO' });
});

test('withMetrics counts what succeeded, and failures that are the volume\'s', async (t) => {
  const counters = newMediumCounters();
  let now = 0;
  const medium = withMetrics(withFaults(await threeBlocks(t), new Faults().failNth('read', 3)), counters, () => (now += 5));
  await medium.readBlock(into());
  await medium.readBlock(into());
  await t.throwsAsync(medium.readBlock(into()), { code: 'EIO' });
  await t.throwsAsync(medium.locate(99), { code: 'EINVAL' });
  await medium.locateEnd();
  await medium.writeBlock(Buffer.from('four'));
  await medium.writeFilemark({ sync: false });
  await medium.writeFilemark({ sync: true });
  t.deepEqual(counters, {
    blocksRead: 2,
    bytesRead: 6,
    blocksWritten: 1,
    bytesWritten: 4,
    filemarks: 2,
    syncs: 1,
    locates: 1,
    errors: 1,
    transferMs: 30,
    locateMs: 10,
  });
});
