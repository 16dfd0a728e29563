import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { formatLtfs, mountLtfs } from '../../../src/library/ltfs-mount.ts';
import { openLtfsMedium, type LtfsMedium } from '../../../src/media/ltfs/ltfs-medium.ts';
import { blankCartridge, crashLtfs, fakeLtfs } from '../../fixtures/ltfs/index.ts';
import { temporaryFolder } from '../../fixtures/temporary.ts';
import { mediumSuite, type MediumFixture } from '../../suites/medium.ts';

/** What LTFS keeps free for its index, beside the capacity that a test asks for. */
const reserve = 16 * 2 ** 20;

async function fixture(t: ExecutionContext, capacity: number): Promise<MediumFixture> {
  const folder = await temporaryFolder(t);
  const mountPoint = join(folder, 'drive0');
  let loaded: LtfsMedium | null = null;
  const load = async (barcode: string): Promise<LtfsMedium> => {
    await loaded?.detach();
    const device = { name: join(folder, barcode), backend: 'file' } as const;
    loaded = await openLtfsMedium(await mountLtfs({ barcode, device, mountPoint, programs: fakeLtfs, mountTimeoutMs: 20_000 }), barcode);
    return loaded;
  };
  t.teardown(() => loaded?.detach());
  for (const barcode of ['LT0001L8', 'LT0002L8']) {
    blankCartridge(join(folder, barcode), capacity + reserve);
    await formatLtfs({ barcode, device: { name: join(folder, barcode), backend: 'file' }, programs: fakeLtfs });
  }
  return {
    medium: await load('LT0001L8'),
    fillable: true,
    estimatesUse: true,
    reload: () => load('LT0001L8'),
    protect: null,
    swap: () => load('LT0002L8'),
    // LTFS loses whole files that no index names, never a part of one.
    powerCut: async () => {
      await crashLtfs(mountPoint);
      return load('LT0001L8');
    },
  };
}

mediumSuite('LTFS', fixture);
