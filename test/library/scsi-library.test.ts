import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { HsmError } from '../../src/errors.ts';
import { openScsiLibrary } from '../../src/library/scsi-library.ts';
import { labelVolume } from '../../src/media/containers.ts';
import { openedRig, rigBarcodes, scsiRig } from '../fixtures/scsi-rig.ts';
import { librarySuite, type LibraryFixture } from '../suites/library.ts';

librarySuite('SCSI library', async (t): Promise<LibraryFixture> => {
  const { options, silo, trouble } = await scsiRig(t);
  let library = await openScsiLibrary(options);
  t.teardown(() => library.close());
  return {
    library,
    drives: ['drive0', 'drive1'],
    barcodes: rigBarcodes,
    restart: async () => {
      await library.close();
      library = await openScsiLibrary(options);
      return library;
    },
    crash: null,
    failNext: (operation) => {
      if (operation === 'move') writeFileSync(`${silo}.fail`, '');
      else trouble.notReady = 1;
    },
  };
});

test('a cartridge whose label names another is refused, and stays usable for nobody', async (t) => {
  const { library, rig: made } = await openedRig(t);
  await labelVolume(await library.load('S00001L9', 'drive0'));
  await library.unload('drive0');
  // Somebody swapped the stickers.
  made.reels.set('S00002L9', made.reels.get('S00001L9')!);
  const error = await t.throwsAsync<HsmError>(library.load('S00002L9', 'drive0'), { instanceOf: HsmError, code: 'WRONG_VOLUME' });
  t.regex(error.message, /S00002L9 in drive0 is labelled S00001L9/);
  t.is((await library.load('S00003L9', 'drive0')).barcode, 'S00003L9', 'the drive goes on with others');
});

test('a drive that the robot does not have is a mistake in the configuration', async (t) => {
  const made = await scsiRig(t);
  const drives = [{ name: 'drive0', device: '/dev/nst0', element: 7 }];
  await t.throwsAsync(openScsiLibrary({ ...made.options, drives }), { instanceOf: HsmError, code: 'CONFIG', message: /no drive element 7: it has 0, 1/ });
});

test('a second process does not get the library', async (t) => {
  const { rig: made } = await openedRig(t);
  await t.throwsAsync(openScsiLibrary(made.options), { instanceOf: HsmError, code: 'REFUSED' });
});

test('cartridges that came through the door are found by a rescan; those without a usable barcode are not volumes', async (t) => {
  const { library, rig: made } = await openedRig(t);
  writeFileSync(made.silo, JSON.stringify({ drives: [null, null], slots: ['S00009L9', 'TOO-LONG-1', null, null, null] }));
  await library.rescan();
  t.deepEqual(
    (await library.inventory()).slots.map(({ barcode }) => barcode),
    ['S00009L9', null, null, null, null],
  );
});

test('cartridges do not go to the import/export slots by themselves', async (t) => {
  const { library, rig: made } = await openedRig(t);
  await library.load('S00001L9', 'drive0');
  writeFileSync(made.silo, JSON.stringify({ drives: [{ tag: 'S00001L9', from: 1 }, null], slots: ['S00009L9', 'S00002L9', 'S00003L9', null, null] }));
  await library.rescan();
  await t.throwsAsync(library.unload('drive0'), { instanceOf: HsmError, code: 'EIO', message: /no slot is free for S00001L9/ });
});

test('a cartridge goes into the door, and from the door back into a slot', async (t) => {
  const { library, rig: made } = await openedRig(t);
  const slots = (): (string | null)[] => (JSON.parse(readFileSync(made.silo, 'utf8')) as { slots: (string | null)[] }).slots;
  t.is(await library.exportCartridge('S00002L9'), 'import/export slot 4');
  t.deepEqual(slots(), ['S00001L9', null, 'S00003L9', 'S00002L9', null]);
  t.is(await library.exportCartridge('S00002L9'), 'import/export slot 4', 'it is there already');
  await library.importCartridge('S00002L9');
  await library.importCartridge('S00002L9');
  t.deepEqual(slots(), [...rigBarcodes, null, null]);
  await library.load('S00001L9', 'drive0');
  await t.throwsAsync(library.exportCartridge('S00001L9'), { code: 'EBUSY' });
  await t.throwsAsync(library.importCartridge('NOTHERE'), { code: 'NO_VOLUME' });
  writeFileSync(`${made.silo}.fail`, '');
  await t.throwsAsync(library.exportCartridge('S00003L9'), { code: 'EIO' });
  t.deepEqual(slots(), [null, 'S00002L9', 'S00003L9', null, null], 'a move that failed moved nothing');
  await library.exportCartridge('S00002L9');
  await library.exportCartridge('S00003L9');
  await library.unload('drive0');
  await t.throwsAsync(library.exportCartridge('S00001L9'), { code: 'EIO', message: /empty the door/ });
});
