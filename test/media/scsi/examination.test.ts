import test from 'ava';
import { Examination } from '../../../src/media/scsi/examination.ts';
import { alertPage, attributes, commandOf, fakePages, logPage, type FakePages } from '../../fixtures/log-pages.ts';

const examinationOf = (fake: FakePages): Examination =>
  new Examination(async (cdb, reply) => {
    const { status, data } = await commandOf(fake)(cdb, reply, 1);
    return status === 0 ? data : null;
  });

test('a drive tells what it has pages for, and is not asked for others', async (t) => {
  const fake = fakePages();
  fake.pages.set(0x2e, alertPage([20]));
  fake.pages.set(0x03, logPage(0x03, { 3: 5, 6: 1 }));
  fake.pages.set(0x14, logPage(0x14, { 0: 10 }));
  const examination = examinationOf(fake);
  t.deepEqual(await examination.report(), { alerts: [20], readErrors: { corrected: 5, uncorrected: 1 }, writeErrors: null, device: { loads: 10 }, volume: null, medium: null });
  t.deepEqual(fake.asked, [0, 0x2e, 0x03, 0x14, 'chip']);
  fake.asked.length = 0;
  await examination.report();
  t.deepEqual(fake.asked, [0x2e, 0x03, 0x14]);
});

test('an older drive tells of the volume in its own pages', async (t) => {
  const fake = fakePages();
  fake.pages.set(0x30, logPage(0x30, { 1: 17, 3: 4 }));
  fake.pages.set(0x31, logPage(0x31, { 1: 1000, 3: 2000 }));
  fake.medium = attributes({ 0x0003: 18 });
  t.like(await examinationOf(fake).report(), { volume: { mounts: 17, writeRetries: 4, remainingMiB: 1000, capacityMiB: 2000 }, medium: { loads: 18 }, alerts: null });
});

test('a drive that knows nothing of all that is asked twice in all', async (t) => {
  const fake = fakePages();
  const examination = examinationOf(fake);
  t.is(await examination.report(), null);
  t.is(await examination.report(), null);
  t.deepEqual(fake.asked, [0, 'chip']);
});

test('a drive that cannot be reached is not asked the rest', async (t) => {
  let asked = 0;
  const examination = new Examination(async () => {
    asked += 1;
    throw new Error('EIO');
  });
  await t.throwsAsync(examination.report());
  t.is(asked, 1);
});
