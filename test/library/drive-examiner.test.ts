import test from 'ava';
import type { ToldByDrive } from '../../src/library/drive-examiner.ts';
import { alertPage, attributes, logPage } from '../fixtures/log-pages.ts';
import { openedRig } from '../fixtures/scsi-rig.ts';

test('a drive is asked after a load and before the unload, once a load for what it does not have', async (t) => {
  const told: ToldByDrive[] = [];
  const { library, rig } = await openedRig(t, ({ options, pages }) => {
    Object.assign(options, { onTold: (each: ToldByDrive) => told.push(each) });
    pages.pages.set(0x03, logPage(0x03, { 3: 5 }));
    pages.attentions = 2;
  });
  await library.load('S00001L9', 'drive0');
  rig.pages.pages.set(0x2e, alertPage([20]));
  await library.unload('drive0');
  await library.load('S00002L9', 'drive0');
  t.deepEqual(told.map(({ drive, volume, moment, report }) => [drive, volume, moment, report?.alerts, report?.readErrors]), [
    ['drive0', 'S00001L9', 'loaded', null, { corrected: 5 }],
    ['drive0', 'S00001L9', 'unloading', null, { corrected: 5 }],
    ['drive0', 'S00002L9', 'loaded', [20], { corrected: 5 }],
  ]);
  t.deepEqual(rig.pages.asked, [0, 0x03, 'chip', 0x03, 0, 0x2e, 0x03, 'chip']);
});

test('a drive that fails to load a cartridge is asked why', async (t) => {
  const told: ToldByDrive[] = [];
  const { library, rig } = await openedRig(t, ({ options, pages }) => {
    Object.assign(options, { onTold: (each: ToldByDrive) => told.push(each) });
    pages.pages.set(0x2e, alertPage([55]));
    pages.medium = attributes({ 0x0003: 7 });
  });
  rig.trouble.notReady = 1;
  await t.throwsAsync(library.load('S00001L9', 'drive0'), { code: 'EIO' });
  t.deepEqual(told.map(({ volume, moment, report }) => [volume, moment, report?.alerts, report?.medium]), [['S00001L9', 'failed', [55], { loads: 7 }]]);
});

test('a drive that does not answer is used all the same', async (t) => {
  const told: ToldByDrive[] = [];
  const { library } = await openedRig(t, ({ options }) => {
    const { openDevice } = options;
    Object.assign(options, {
      onTold: (each: ToldByDrive) => told.push(each),
      openDevice: async (path: string) => Object.assign(await openDevice(path), { command: () => Promise.reject(new Error('EIO')) }),
    });
  });
  t.is((await library.load('S00001L9', 'drive0')).barcode, 'S00001L9');
  await library.unload('drive0');
  t.deepEqual(told, []);
});
