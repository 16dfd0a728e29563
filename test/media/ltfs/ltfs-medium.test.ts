import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { createLtfsCartridge, writeCartridgeConfig } from '../../../src/library/ltfs-cartridge.ts';
import { mountLtfs, type LtfsPrograms } from '../../../src/library/ltfs-mount.ts';
import { openLtfsMedium, type LtfsMedium } from '../../../src/media/ltfs/ltfs-medium.ts';
import { crashLtfs, fakeLtfs, realLtfs } from '../../fixtures/ltfs/index.ts';
import { temporaryFolder } from '../../fixtures/temporary.ts';
import { mediumSuite, type MediumFixture } from '../../suites/medium.ts';

/** What is kept free beside the capacity that a test asks for; the reference's file backend warns hundreds of MiB before its end. */
const reserve = { fake: 16 * 2 ** 20, reference: 2 ** 30 } as const;

async function fixture(t: ExecutionContext, wanted: number, kind: keyof typeof reserve, programs: LtfsPrograms): Promise<MediumFixture> {
  const capacity = wanted + reserve[kind];
  const folder = await temporaryFolder(t);
  const mountPoint = join(folder, 'drive0');
  let loaded: LtfsMedium | null = null;
  const load = async (barcode: string): Promise<LtfsMedium> => {
    await loaded?.detach();
    const device = { name: join(folder, barcode), backend: 'file' } as const;
    loaded = await openLtfsMedium(await mountLtfs({ barcode, device, mountPoint, programs, mountTimeoutMs: 20_000 }), barcode);
    return loaded;
  };
  t.teardown(() => loaded?.detach());
  for (const barcode of ['LT0001L8', 'LT0002L8']) {
    await createLtfsCartridge(join(folder, barcode), { barcode, capacity }, programs);
  }
  return {
    medium: await load('LT0001L8'),
    fillable: kind === 'fake',
    estimatesUse: true,
    reload: () => load('LT0001L8'),
    protect: async () => {
      await loaded?.detach();
      await writeCartridgeConfig(join(folder, 'LT0001L8'), { barcode: 'LT0001L8', capacity, writeProtected: true });
      return load('LT0001L8');
    },
    swap: () => load('LT0002L8'),
    // LTFS loses whole files that no index names, never a part of one.
    powerCut: async () => {
      await crashLtfs(mountPoint);
      return load('LT0001L8');
    },
  };
}

mediumSuite('LTFS', (t, capacity) => fixture(t, capacity, 'fake', fakeLtfs));

// LTFS's own programs are in no Debian package: the fake above is what runs everywhere.
if (realLtfs === null) test.skip('LTFS of the reference: there is no ltfs on PATH', (t) => t.pass());
else mediumSuite('LTFS of the reference', (t, capacity) => fixture(t, capacity, 'reference', realLtfs!));
