import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openCatalog } from '../../src/catalog/index.ts';
import { defaultCleaning, type CleaningSettings } from '../../src/config.ts';
import { Cleaning } from '../../src/daemon/cleaning.ts';
import { HsmError } from '../../src/errors.ts';
import { MediaCounters } from '../../src/library/media-counters.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

async function site(t: ExecutionContext, change: Partial<CleaningSettings> = {}) {
  const catalog = openCatalog(join(await temporaryFolder(t), 'catalogue.db'));
  t.teardown(() => catalog.close());
  const counters = new MediaCounters(catalog);
  const cleaned: string[] = [];
  const state = { failure: null as HsmError | null, now: 1_000_000, slots: ['CLN002L1', 'A00001L9', 'CLN001L1', null] };
  const cleaning = new Cleaning({
    catalog,
    counters,
    drives: { maintain: (_name, _reason, work) => work() },
    library: {
      inventory: async () => ({ drives: [], slots: state.slots.map((barcode, i) => ({ slot: i + 1, barcode })) }),
      clean: async (barcode, drive) => {
        cleaned.push(`${drive} with ${barcode}`);
        if (state.failure !== null) throw state.failure;
      },
    },
    settings: { ...defaultCleaning, uses: 2, ...change },
    log,
    now: () => state.now,
  });
  const needed = async (): Promise<unknown[]> => (await catalog.events(50)).filter(({ kind }) => kind === 'operator-needed').map(({ data }) => (JSON.parse(data) as { problem: string }).problem).reverse();
  return { catalog, cleaning, cleaned, state, needed };
}

test('cartridges are used up one after the other; a used one is reported, and then there is none', async (t) => {
  const { cleaning, cleaned, needed } = await site(t);
  for (let i = 0; i < 4; i += 1) await cleaning.clean('drive0', 0);
  t.deepEqual(cleaned, ['drive0 with CLN001L1', 'drive0 with CLN001L1', 'drive0 with CLN002L1', 'drive0 with CLN002L1']);
  t.deepEqual((await cleaning.cleaners()).map(({ barcode, location, uses, usesLeft }) => [barcode, location, uses, usesLeft]), [
    ['CLN001L1', 'slot 3', 2, 0],
    ['CLN002L1', 'slot 1', 2, 0],
  ]);
  await t.throwsAsync(cleaning.clean('drive0', 0), { instanceOf: HsmError, code: 'NO_CLEANER' });
  t.deepEqual(await needed(), ['cleaning cartridge CLN001L1 is used up: replace it', 'cleaning cartridge CLN002L1 is used up: replace it']);
});

test('a drive that asks is cleaned by itself; one that asks again within the hour is a case for a person', async (t) => {
  const { cleaning, cleaned, state, needed } = await site(t);
  await cleaning.wanted('drive0', 'TapeAlert 20 (Cleaning required)');
  await cleaning.wanted('drive0', 'TapeAlert 20 (Cleaning required)');
  t.is(cleaned.length, 1);
  t.deepEqual(await needed(), ['TapeAlert 20 (Cleaning required); it was cleaned within the last hour']);
  state.now += 3_600_000;
  await cleaning.wanted('drive0', 'TapeAlert 20 (Cleaning required)');
  t.is(cleaned.length, 2);
});

test('an operator is asked where the policy says so, where no cartridge is left, and where it fails', async (t) => {
  const asked = await site(t, { when: 'ask' });
  await asked.cleaning.wanted('drive0', 'dirty');
  t.deepEqual([asked.cleaned, await asked.needed()], [[], ['dirty; hsm drive clean drive0']]);
  const none = await site(t);
  none.state.slots = ['A00001L9'];
  await none.cleaning.wanted('drive0', 'dirty');
  t.deepEqual(await none.needed(), ['dirty; there is no cleaning cartridge with uses left in the library']);
  const failing = await site(t);
  failing.state.failure = new HsmError('CLEANING', 'it did not end');
  await failing.cleaning.wanted('drive0', 'dirty');
  t.deepEqual(await failing.needed(), ['dirty; it did not end']);
  t.is((await failing.cleaning.cleaners())[0]?.uses, 1, 'it was in the drive');
});

test('a volume of the catalogue is never used for it, whatever its name', async (t) => {
  const { catalog, cleaning, cleaned } = await site(t);
  await catalog.addVolume({ barcode: 'CLN001L1', pool: null, capacity: 1 });
  await cleaning.clean('drive0', 0);
  t.deepEqual(cleaned, ['drive0 with CLN002L1']);
});

test('a drive that asks in two ways at a time is cleaned once', async (t) => {
  const { cleaning, cleaned, needed } = await site(t);
  await Promise.all([cleaning.wanted('drive0', 'TapeAlert 20 (Cleaning required)'), cleaning.wanted('drive0', 'TapeAlert 21 (Cleaning requested)'), cleaning.wanted('drive1', 'the drive asks for it')]);
  t.deepEqual(cleaned.map((each) => each.slice(0, 6)), ['drive0', 'drive1']);
  t.deepEqual(await needed(), ['cleaning cartridge CLN001L1 is used up: replace it']);
});
