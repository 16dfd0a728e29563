/** The medium suite on scsi_debug's drives, which have positions (READ POSITION, LOCATE), other than tgt's. Runs in a guest. */
import test from 'ava';
import { HsmError } from '../../../src/errors.ts';
import { decorate } from '../../../src/media/decorators/decorate.ts';
import type { Medium } from '../../../src/media/medium.ts';
import { openStDevice } from '../../../src/media/st/st-device.ts';
import { openStMedium, type StMedium } from '../../../src/media/st/st-medium.ts';
import { mediumSuite } from '../../suites/medium.ts';

/** READ BLOCK LIMITS says so. */
const shortest = 512;
const longest = 2 ** 20;
/** scsi_debug's tapes hold so many objects, of whatever length, and warn so many before the end. */
const [units, warningUnits] = [10_000, 20];

/** Every test gets a drive of its own, whose tape is blank. */
let fresh = 0;
const nextDrive = (): string => `/dev/nst${(fresh += 1) - 1}`;

async function load(path: string): Promise<{ readonly medium: StMedium; readonly unload: () => Promise<void> }> {
  const device = await openStDevice(path);
  const medium = await openStMedium(device, { barcode: path.slice('/dev/'.length).toUpperCase(), capacity: 2 ** 30, largestBlock: longest });
  const unload = async (): Promise<void> => {
    await medium.detach();
    device.close();
  };
  return { medium, unload };
}

/** What was written, by the tags that go to tape: scsi_debug keeps the first four bytes of a block and its length, and reads the rest as it likes. */
const written = new Map<number, Buffer>();

function remembered(medium: Medium): Medium {
  return decorate(medium, {
    writeBlock: async (data) => {
      if (data.length === 0 || data.length > longest) return medium.writeBlock(data);
      const tag = written.size + 1;
      written.set(tag, Buffer.from(data));
      const block = Buffer.alloc(Math.max(shortest, data.length));
      block.writeUInt32LE(tag);
      return medium.writeBlock(block);
    },
    readBlock: async (into) => {
      const found = await medium.readBlock(into.length < shortest ? Buffer.alloc(shortest) : into);
      if (typeof found === 'string') return found;
      const data = written.get(found.readUInt32LE());
      if (data === undefined || found.length !== Math.max(shortest, data.length)) throw new Error(`a block of ${found.length} bytes that nobody wrote`);
      if (data.length > into.length) throw new HsmError('ENOMEM', 'longer than the buffer');
      data.copy(into);
      return into.subarray(0, data.length);
    },
  });
}

mediumSuite('st over scsi_debug', async (t) => {
  const path = nextDrive();
  let loaded = await load(path);
  t.teardown(() => loaded.unload());
  return {
    medium: remembered(loaded.medium),
    fillable: false,
    estimatesUse: true,
    blocks: { smallest: 1, largest: longest },
    reload: async () => {
      await loaded.unload();
      loaded = await load(path);
      return remembered(loaded.medium);
    },
    // No robot, no tab, no plug.
    swap: null,
    protect: null,
    powerCut: null,
  };
});

test('where a drive refuses the block at early warning with EIO, the tape is full: nothing of it is on tape, and a filemark still fits', async (t) => {
  const { medium, unload } = await load(nextDrive());
  t.teardown(unload);
  const block = Buffer.alloc(shortest);
  let count = 0;
  const refused = await (async () => {
    for (;;) {
      block.writeUInt32LE(count + 1);
      try {
        await medium.writeBlock(block);
        count += 1;
      } catch (error) {
        return error;
      }
    }
  })();
  t.true(refused instanceof HsmError && refused.code === 'ENOSPC', String(refused));
  t.true(count > units - 3 * warningUnits && count < units, `refused at ${count}`);
  t.is(await medium.position(), count);
  await medium.writeFilemark({ sync: true });
  t.is(await medium.locateEnd(), count + 1);
  await medium.locate(count - 1);
  const last = await medium.readBlock(Buffer.alloc(shortest));
  t.true(Buffer.isBuffer(last) && last.readUInt32LE() === count);
  t.is(await medium.readBlock(Buffer.alloc(shortest)), 'filemark');
  t.is(await medium.readBlock(Buffer.alloc(shortest)), 'end');
});
