import test from 'ava';
import { DriveRates } from '../../src/daemon/drive-rates.ts';

test('the rate of a drive is what passed through it in the last ten seconds, read and written', (t) => {
  let now = 0;
  const passed: Record<string, { bytesRead: number; bytesWritten: number }> = { drive0: { bytesRead: 0, bytesWritten: 0 }, drive1: { bytesRead: 7e9, bytesWritten: 0 } };
  const rates = new DriveRates((drive) => ({ ...passed[drive]! }), () => now);
  const second = (bytes: number): void => {
    now += 1000;
    passed['drive0']!.bytesRead += bytes;
    passed['drive0']!.bytesWritten += bytes / 2;
    rates.sample(['drive0', 'drive1']);
  };
  t.is(rates.of('drive0'), null);
  second(100e6);
  t.is(rates.of('drive0'), null, 'nobody knows since when');
  for (let i = 0; i < 20; i += 1) second(200e6);
  t.is(rates.of('drive0'), 300e6);
  t.is(rates.of('drive1'), 0, 'what passed before it was looked at is no rate');
  for (let i = 0; i < 5; i += 1) second(0);
  t.is(rates.of('drive0'), 150e6);
  for (let i = 0; i < 10; i += 1) second(0);
  t.is(rates.of('drive0'), 0);
});
