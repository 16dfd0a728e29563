/** The medium suite on what the real st and ch drivers make of tgt's drives and robot. Runs in a guest. */
import test from 'ava';
import { defaultCleaning } from '../../../src/config.ts';
import { openLibrary, type CartridgeLibrary } from '../../../src/library/open-library.ts';
import { mediumSuite } from '../../suites/medium.ts';

let library: CartridgeLibrary;
/** Every test gets cartridges of its own, of which there are enough. */
let fresh = 0;
const nextBarcode = (): string => `TAP${String((fresh += 1)).padStart(3, '0')}L8`;

test.before(async () => {
  library = await openLibrary({
    kind: 'scsi',
    format: 'tar',
    path: '/run/library',
    changer: '/dev/sch0',
    drives: ['/dev/nst0', '/dev/nst1'].map((device, i) => ({ name: `drive${i}`, device, element: null })),
    capacity: 2 ** 30,
    loadTimeoutS: 60,
    cleaning: defaultCleaning,
  });
});

test.after.always(async () => library.close());

mediumSuite('st', async () => {
  const barcode = nextBarcode();
  return {
    medium: await library.load(barcode, 'drive0'),
    fillable: false,
    estimatesUse: true,
    blocks: { smallest: 4, largest: 2 ** 20 },
    reload: async () => {
      await library.unload('drive0');
      return library.load(barcode, 'drive0');
    },
    swap: () => library.load(nextBarcode(), 'drive0'),
    // tgt has neither a tab nor a plug.
    protect: null,
    powerCut: null,
  };
});
