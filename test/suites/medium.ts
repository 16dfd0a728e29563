/** What every medium must do, whatever it is made of: run against each implementation and each decorator. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { HsmError } from '../../src/errors.ts';
import type { Medium } from '../../src/media/medium.ts';
import type { Debris } from '../fixtures/power-cut.ts';
import { seededBytes } from '../fixtures/random.ts';

/** A scratch volume in a drive. What a fixture cannot do is null, and the tests of that say so and pass. */
export interface MediumFixture {
  readonly medium: Medium;
  /** Unloads the volume and loads it again. */
  readonly reload: () => Promise<Medium>;
  /** The same, write protected. */
  readonly protect: (() => Promise<Medium>) | null;
  /** Loads another scratch volume in the same drive. */
  readonly swap: (() => Promise<Medium>) | null;
  /** Cuts the power. Of what was not synchronized, the first `survives` (0 to 1) reaches the volume, and of the rest the debris. */
  readonly powerCut: ((survives: number, debris: Debris) => Promise<Medium>) | null;
  /** True when the volume has the capacity that was asked for, so that it can be filled. */
  readonly fillable: boolean;
  /** Blocks that the drive takes, where it does not take all of the contract's. */
  readonly blocks?: { readonly smallest: number; readonly largest: number };
  /** `used` is an estimate that only grows with the end of data. */
  readonly estimatesUse?: boolean;
}

/** Makes a fixture and registers its teardown. `capacity` in bytes is a wish. */
export type MediumFactory = (t: ExecutionContext, capacity: number) => Promise<MediumFixture>;

const MiB = 2 ** 20;

export function mediumSuite(name: string, create: MediumFactory): void {
  const medium = (title: string, capacity: number, run: (t: ExecutionContext, fixture: MediumFixture) => Promise<void>): void => {
    test(`${name}: ${title}`, async (t) => run(t, await create(t, capacity)));
  };

  medium('a new volume is empty, at its beginning, and its beginning is its end', MiB, async (t, { medium }) => {
    t.is(await medium.position(), 0);
    t.is(await medium.locateEnd(), 0);
    t.is(await medium.readBlock(Buffer.alloc(100)), 'end');
    t.is(await medium.readBlock(Buffer.alloc(100)), 'end', 'and stays so');
    t.is(await medium.position(), 0);
    t.is((await medium.capacity()).used, 0);
  });

  medium('blocks and filemarks come back in order, byte by byte, whatever their size', 24 * MiB, async (t, { medium, blocks }) => {
    const sizes = [80, 1, 2, 3, 0, 4095, 4096, 4097, 0, 0, MiB, 511, MiB - 1, 0].map((size) => (size === 0 ? 0 : Math.max(size, blocks?.smallest ?? 1)));
    await write(medium, sizes);
    t.is(await medium.position(), sizes.length);
    await medium.rewind();
    await expectObjects(t, medium, sizes);
  });

  medium('the longest block is 16 MiB less one byte, or what the drive takes', 40 * MiB, async (t, { medium, blocks }) => {
    const longest = blocks?.largest ?? 16 * MiB - 1;
    await write(medium, [longest, 0]);
    await t.throwsAsync(medium.writeBlock(Buffer.alloc(longest + 1)), { instanceOf: HsmError, code: 'EINVAL' });
    await t.throwsAsync(medium.writeBlock(Buffer.alloc(0)), { instanceOf: HsmError, code: 'EINVAL' });
    await medium.rewind();
    await expectObjects(t, medium, [longest, 0]);
  });

  medium('a read returns a view of the buffer that was given', MiB, async (t, { medium }) => {
    await write(medium, [10]);
    await medium.rewind();
    const into = Buffer.alloc(64);
    const block = await medium.readBlock(into);
    t.true(Buffer.isBuffer(block) && block.buffer === into.buffer && block.byteOffset === into.byteOffset && block.length === 10);
  });

  medium('the buffer may be used again as soon as the write has resolved', MiB, async (t, { medium }) => {
    const buffer = Buffer.from(content(0, 100));
    await medium.writeBlock(buffer);
    buffer.fill(0xee);
    await medium.writeFilemark({ sync: false });
    await medium.rewind();
    await expectObjects(t, medium, [100, 0]);
  });

  medium('locate goes to any object, the end of data included, and no further', 2 * MiB, async (t, { medium }) => {
    const sizes = [80, 0, 1000, 1000, 1000, 999, 0, 5, 0];
    await write(medium, sizes);
    for (const address of [7, 0, 3, 8, 1, 5, 2, 4, 6]) {
      await medium.locate(address);
      t.is(await medium.position(), address);
      await expectObject(t, medium, address, sizes[address] ?? 0);
      t.is(await medium.position(), address + 1);
    }
    await medium.locate(9);
    t.is(await medium.readBlock(Buffer.alloc(leastRead)), 'end');
    await t.throwsAsync(medium.locate(10), { instanceOf: HsmError, code: 'EINVAL' });
    await t.throwsAsync(medium.locate(-1), { instanceOf: HsmError, code: 'EINVAL' });
    await t.throwsAsync(medium.locate(0.5), { instanceOf: HsmError, code: 'EINVAL' });
    t.is(await medium.locateEnd(), 9);
  });

  medium('a block larger than the buffer fails with ENOMEM and is passed', MiB, async (t, { medium }) => {
    await write(medium, [4096, 100]);
    await medium.rewind();
    await t.throwsAsync(medium.readBlock(Buffer.alloc(4095)), { instanceOf: HsmError, code: 'ENOMEM' });
    t.is(await medium.position(), 1);
    await expectObject(t, medium, 1, 100);
  });

  medium('writing in the middle truncates all that follows', 2 * MiB, async (t, { medium, reload }) => {
    await write(medium, [100, 200, 0, 300, 400, 0]);
    await medium.writeFilemark({ sync: true });
    await medium.locate(1);
    await write(medium, [77], 1);
    t.is(await medium.readBlock(Buffer.alloc(4096)), 'end');
    t.is(await medium.locateEnd(), 2);
    await t.throwsAsync(medium.locate(3), { instanceOf: HsmError, code: 'EINVAL' });
    await medium.writeFilemark({ sync: true });
    const again = await reload();
    await expectObjects(t, again, [100, 77, 0]);
  });

  medium('a filemark in the middle truncates as well', MiB, async (t, { medium }) => {
    await write(medium, [100, 200, 300]);
    await medium.locate(1);
    await medium.writeFilemark({ sync: false });
    await medium.rewind();
    await expectObjects(t, medium, [100, 0]);
  });

  medium('what was written is there after unload and load, at the beginning', 2 * MiB, async (t, { medium, reload }) => {
    await write(medium, [80, 0, 5000, 5000, 0]);
    const first = await reload();
    t.is(await first.position(), 0);
    t.is(first.barcode, medium.barcode);
    await expectObjects(t, first, [80, 0, 5000, 5000, 0]);
    await write(first, [6000, 0], 5);
    const second = await reload();
    await expectObjects(t, second, [80, 0, 5000, 5000, 0, 6000, 0]);
  });

  medium('a medium that was unloaded fails with NOT_LOADED', MiB, async (t, { medium, reload }) => {
    await write(medium, [80]);
    await reload();
    for (const operation of operations(medium)) await t.throwsAsync(operation, { instanceOf: HsmError, code: 'NOT_LOADED' });
  });

  medium('a second operation at the same time fails with EBUSY and disturbs nothing', 4 * MiB, async (t, { medium }) => {
    const data = content(0, MiB);
    const first = medium.writeBlock(data);
    await t.throwsAsync(medium.writeBlock(data), { instanceOf: HsmError, code: 'EBUSY' });
    await first;
    await medium.writeFilemark({ sync: false });
    await medium.rewind();
    await expectObjects(t, medium, [MiB, 0]);
  });

  medium('used grows with every object and shrinks when the end of data moves back', 2 * MiB, async (t, { medium }) => {
    let before = (await medium.capacity()).used;
    for (const size of [4, 100, 0, 4096]) {
      await write(medium, [size]);
      const { used, capacity } = await medium.capacity();
      t.true(used >= before + size && used <= capacity);
      before = used;
    }
    await medium.rewind();
    t.is((await medium.capacity()).used, before, 'moving changes nothing');
    await write(medium, [4]);
    t.true((await medium.capacity()).used < before);
  });

  medium('early warning comes while a trailer still fits, and the physical end writes nothing', 16 * MiB, async (t, fixture) => {
    if (!fixture.fillable) return passOver(t, 'this volume cannot be filled');
    const { medium } = fixture;
    const block = 256 * 1024;
    const written: number[] = [];
    for (let warned = false; !warned; ) {
      ({ earlyWarning: warned } = await medium.writeBlock(content(written.length, block)));
      written.push(block);
    }
    const trailer = [block, block, 0, 80, 0];
    for (const size of trailer) {
      const result = size === 0 ? await medium.writeFilemark({ sync: false }) : await medium.writeBlock(content(written.length, size));
      t.true(result.earlyWarning, 'and stays');
      written.push(size);
    }
    const refused = await fill(medium, block, written);
    t.is(refused.code, 'ENOSPC');
    t.is(await medium.position(), written.length, 'nothing of the block was written');
    await medium.writeFilemark({ sync: true });
    written.push(0);
    const { used, capacity } = await medium.capacity();
    t.true(used <= capacity && (fixture.estimatesUse === true || used > capacity - block - 1024));
    const again = await fixture.reload();
    await expectObjects(t, again, written);
    await t.throwsAsync(again.writeBlock(content(0, block)), { instanceOf: HsmError, code: 'ENOSPC' });
    await again.rewind();
    t.false((await again.writeBlock(content(0, block))).earlyWarning, 'overwritten from the beginning it is empty again');
  });

  medium('a write protected volume can be read, and nothing else', MiB, async (t, fixture) => {
    if (fixture.protect === null) return passOver(t, 'this volume cannot be write protected');
    t.false(fixture.medium.writeProtected);
    await write(fixture.medium, [100, 0, 200]);
    const medium = await fixture.protect();
    t.true(medium.writeProtected);
    await medium.locate(1);
    await t.throwsAsync(medium.writeBlock(content(0, 10)), { instanceOf: HsmError, code: 'EROFS' });
    await t.throwsAsync(medium.writeFilemark({ sync: true }), { instanceOf: HsmError, code: 'EROFS' });
    await medium.rewind();
    await expectObjects(t, medium, [100, 0, 200]);
  });

  medium('another volume in the same drive is another volume', MiB, async (t, fixture) => {
    if (fixture.swap === null) return passOver(t, 'there is no second volume');
    await write(fixture.medium, [100]);
    const other = await fixture.swap();
    t.not(other.barcode, fixture.medium.barcode);
    t.is(await other.readBlock(Buffer.alloc(4096)), 'end');
    await t.throwsAsync(fixture.medium.readBlock(Buffer.alloc(4096)), { instanceOf: HsmError, code: 'NOT_LOADED' });
  });

  for (const debris of ['cut', 'zeros', 'noise'] as const) {
    medium(`nothing that a synchronous filemark confirmed is lost in a power cut (${debris})`, 8 * MiB, async (t, fixture) => {
      if (fixture.powerCut === null) return passOver(t, 'the power of this drive cannot be cut');
      const safe = [80, 0, 4096, 4096, 1001, 0];
      let medium = fixture.medium;
      for (const survives of [0, 0.1, 0.5, 0.73, 0.999, 1]) {
        await medium.rewind();
        await write(medium, safe.slice(0, -1));
        await medium.writeFilemark({ sync: true });
        await write(medium, [4096, 0, 4096, 333, 5000], safe.length);
        medium = await fixture.powerCut(survives, debris);
        await expectPrefix(t, medium, safe);
        if (debris === 'cut') await expectPrefix(t, medium, [4096, 0, 4096, 333, 5000].slice(0, (await medium.locateEnd()) - safe.length), safe.length);
        await medium.locate(safe.length);
        await write(medium, [50, 0], safe.length);
        await medium.rewind();
        await expectObjects(t, medium, [...safe, 50, 0]);
      }
    });
  }

  medium('a power cut after a volume was overwritten does not bring the old data back', 4 * MiB, async (t, fixture) => {
    if (fixture.powerCut === null) return passOver(t, 'the power of this drive cannot be cut');
    await write(fixture.medium, [80, 0, 4096, 4096, 0]);
    await fixture.medium.writeFilemark({ sync: true });
    await fixture.medium.rewind();
    await fixture.medium.writeBlock(content(900, 200));
    await fixture.medium.writeFilemark({ sync: true });
    const medium = await fixture.powerCut(0, 'cut');
    t.deepEqual(await medium.readBlock(Buffer.alloc(4096)), content(900, 200));
    t.is(await medium.readBlock(Buffer.alloc(4096)), 'filemark');
    t.is(await medium.readBlock(Buffer.alloc(4096)), 'end');
  });

  medium('after any failure position() tells where the volume is, and it goes on from there', 2 * MiB, async (t, { medium }) => {
    await write(medium, [100, 5000, 0]);
    await medium.locate(1);
    await t.throwsAsync(medium.readBlock(Buffer.alloc(leastRead)), { code: 'ENOMEM' });
    await t.throwsAsync(medium.locate(99), { code: 'EINVAL' });
    await t.throwsAsync(medium.writeBlock(Buffer.alloc(0)), { code: 'EINVAL' });
    const position = await medium.position();
    t.true(position >= 0 && position <= 3, 'wherever that is');
    await medium.locate(2);
    t.is(await medium.readBlock(Buffer.alloc(leastRead)), 'filemark');
    await write(medium, [60, 0], 3);
    await medium.rewind();
    await expectObjects(t, medium, [100, 5000, 0, 60, 0]);
  });

  medium('physical hints are for objects in order, or there are none', MiB, async (t, { medium }) => {
    await write(medium, [100, 0, 100]);
    for (const address of [0, 1, 2, 3]) {
      const hint = medium.physicalPosition(address);
      t.true(hint === null || (Number.isInteger(hint.wrap) && hint.wrap >= 0 && Number.isFinite(hint.lpos)));
    }
  });
}

/** Drives refuse to read fewer bytes than their shortest block may have. */
const leastRead = 16;

/** Objects are told by their sizes, 0 for a filemark; the content follows from the address. */
async function write(medium: Medium, sizes: readonly number[], from?: number): Promise<void> {
  const start = from ?? (await medium.position());
  for (const [number, size] of sizes.entries()) {
    if (size === 0) await medium.writeFilemark({ sync: false });
    else await medium.writeBlock(content(start + number, size));
  }
}

async function expectObjects(t: ExecutionContext, medium: Medium, sizes: readonly number[]): Promise<void> {
  await expectPrefix(t, medium, sizes);
  t.is(await medium.readBlock(Buffer.alloc(16)), 'end');
  t.is(await medium.position(), sizes.length);
}

async function expectPrefix(t: ExecutionContext, medium: Medium, sizes: readonly number[], from = 0): Promise<void> {
  await medium.locate(from);
  for (const [number, size] of sizes.entries()) await expectObject(t, medium, from + number, size);
}

async function expectObject(t: ExecutionContext, medium: Medium, address: number, size: number): Promise<void> {
  const found = await medium.readBlock(Buffer.alloc(Math.max(leastRead, size)));
  if (size === 0) t.is(found, 'filemark', `object ${address}`);
  else t.true(Buffer.isBuffer(found) && found.equals(content(address, size)), `object ${address} is the block of ${size} bytes that was written`);
}

const content = (address: number, size: number): Buffer => seededBytes(1 + address * 31 + size, size);

/** Writes blocks until one is refused. */
async function fill(medium: Medium, block: number, written: number[]): Promise<HsmError> {
  for (;;) {
    try {
      await medium.writeBlock(content(written.length, block));
      written.push(block);
    } catch (error) {
      if (error instanceof HsmError) return error;
      throw error;
    }
  }
}

const operations = (medium: Medium): (() => Promise<unknown>)[] => [
  () => medium.position(),
  () => medium.rewind(),
  () => medium.locate(0),
  () => medium.locateEnd(),
  () => medium.readBlock(Buffer.alloc(10)),
  () => medium.writeBlock(Buffer.alloc(10)),
  () => medium.writeFilemark({ sync: true }),
  () => medium.capacity(),
];

function passOver(t: ExecutionContext, reason: string): void {
  t.log(`not tested: ${reason}`);
  t.pass();
}
