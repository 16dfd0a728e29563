import test from 'ava';
import { alertsOf, counters, deviceCounters, errorCounters, logSense, parseParameters, parseSupported, volumeCounters } from '../../../src/media/scsi/log-pages.ts';
import { parseAttributes, readAttributes } from '../../../src/media/scsi/medium-attributes.ts';
import { alertText, tapeAlert } from '../../../src/media/scsi/tape-alert.ts';
import { alertPage, attributes, logPage, supportedPage, u32 } from '../../fixtures/log-pages.ts';

test('LOG SENSE asks for cumulative values of one page, READ ATTRIBUTE for values of the first partition', (t) => {
  t.is(logSense('tapeAlert').toString('hex'), '4d006e00000000200000');
  t.is(logSense('supported').toString('hex'), '4d004000000000200000');
  t.is(readAttributes().toString('hex'), '8c000000000000000000000040000000');
});

test('the pages that a drive has are those it lists', (t) => {
  t.deepEqual([...parseSupported(supportedPage([0, 2, 0x2e]))], [0, 2, 0x2e]);
  t.deepEqual([...parseSupported(Buffer.alloc(0))], []);
  t.deepEqual([...parseSupported(logPage(0x02, { 3: 1 }))], []);
});

test('TapeAlert flags are the low bits of 64 parameters', (t) => {
  const page = alertPage([3, 4, 20, 64]);
  t.is(page.length, 4 + 64 * 5);
  t.deepEqual(alertsOf(parseParameters(page, 'tapeAlert')), [3, 4, 20, 64]);
  t.deepEqual(alertsOf(parseParameters(alertPage([]), 'tapeAlert')), []);
  t.deepEqual(alertsOf(new Map([[0, Buffer.from([1])], [65, Buffer.from([1])], [5, Buffer.alloc(0)], [6, Buffer.from([0xfe])]])), []);
});

test('error counters are numbers of whatever length the drive gives them', (t) => {
  // By hand: parameters 3, 5 and 6 of 2, 8 and 1 bytes, and one of the vendor's.
  const page = Buffer.from('03000000' + '00030302002a' + '00050308' + '0000000100000000' + '0006030107' + '80000304ffffffff', 'hex');
  page[3] = page.length - 4;
  t.deepEqual(counters(parseParameters(page, 'readErrors'), errorCounters), { corrected: 42, bytes: 2 ** 32, uncorrected: 7 });
});

test('statistics of drive and volume are found by their codes; what is unknown (all ones) or too long for a number is left out', (t) => {
  const device = parseParameters(logPage(0x14, { 0: 311, 1: 7, 3: 0xffffffff, 8: 12, 0x40: Buffer.from('SERIAL'), 0x0e: Buffer.alloc(9) }), 'deviceStatistics');
  t.deepEqual(counters(device, deviceCounters), { loads: 311, cleanings: 7, motionHoursSinceCleaning: 12 });
  const volume = parseParameters(logPage(0x17, { 0: Buffer.from([1]), 1: 88, 4: 1, 0x10: 123_456, 0x101: Buffer.from('0000000000000fa0', 'hex') }), 'volumeStatistics');
  t.deepEqual(counters(volume, volumeCounters), { mounts: 88, unrecoveredWriteErrors: 1, megabytesWritten: 123_456, beginningPasses: 4000 });
  t.deepEqual(counters(new Map([[0x10, Buffer.from('ff00000000000000', 'hex')]]), volumeCounters), {});
});

test('a page that is cut, empty, or another one gives what is whole of it and never more', (t) => {
  const page = logPage(0x14, { 0: 1, 1: 2, 2: 3 });
  for (let length = 0; length <= page.length; length += 1) {
    const found = parseParameters(page.subarray(0, length), 'deviceStatistics');
    t.is(found.size, Math.max(0, Math.floor((length - 4) / 8)));
  }
  t.is(parseParameters(page, 'volumeStatistics').size, 0);
  // What stands behind the page's own length is not of the page.
  t.is(parseParameters(Buffer.concat([page, Buffer.alloc(64)]), 'deviceStatistics').size, 3);
});

test("the cartridge's chip tells loads, sizes and names; what is blank or unknown is left out", (t) => {
  const chip = attributes({
    0x0000: Buffer.from('0000000000001000', 'hex'),
    0x0001: Buffer.from('ffffffffffffffff', 'hex'),
    0x0003: Buffer.from('0000000000000063', 'hex'),
    0x0006: Buffer.from([0x5e]),
    0x0220: u32(777),
    0x0400: Buffer.from('FUJIFILM'),
    0x0401: Buffer.from('UF1H900301                      '),
    0x0406: Buffer.from('20190522'),
    0x0408: Buffer.from([0]),
    0x0806: Buffer.from('                                '),
    0x1234: Buffer.from('unknown'),
  });
  t.deepEqual(parseAttributes(chip), { remainingMiB: 4096, loads: 99, density: 0x5e, megabytesWritten: 777, manufacturer: 'FUJIFILM', serial: 'UF1H900301', manufactured: '20190522', type: 'data' });
  t.deepEqual(parseAttributes(attributes({ 0x0408: Buffer.from([1]) })), { type: 'cleaning' });
  t.is(parseAttributes(attributes({})), null);
  t.is(parseAttributes(Buffer.alloc(3)), null);
  for (let length = 0; length < chip.length; length += 1) t.notThrows(() => parseAttributes(chip.subarray(0, length)));
});

test('each flag has a name, a severity and somebody whose business it is', (t) => {
  t.deepEqual(tapeAlert(4), { flag: 4, name: 'Media', severity: 'critical', fault: 'volume' });
  t.deepEqual(tapeAlert(21), { flag: 21, name: 'Cleaning requested', severity: 'warning', fault: 'cleaning' });
  t.deepEqual(tapeAlert(30), { flag: 30, name: 'Hardware A', severity: 'critical', fault: 'drive' });
  t.deepEqual(tapeAlert(64), { flag: 64, name: 'Flag 64', severity: 'information', fault: 'none' });
  t.is(alertText(tapeAlert(20)), 'TapeAlert 20 (Cleaning required)');
  const names = Array.from({ length: 64 }, (_, i) => tapeAlert(i + 1).name);
  t.is(new Set(names).size, 64);
});
