import test from 'ava';
import { progressLine, ProgressView, type ProgressStream } from '../../src/cli/progress.ts';
import type { Progress } from '../../src/daemon/protocol.ts';

const half: Progress = { phase: 'writing', files: 1000, bytes: 512 * 2 ** 20, totalFiles: 2000, totalBytes: 2 ** 30 };

class Screen implements ProgressStream {
  text = '';
  readonly isTTY: boolean;
  readonly columns: number;
  constructor(isTTY: boolean, columns = 80) {
    this.columns = columns;
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
  }
}

test('a line has phase, files, bytes, rate and what is left', (t) => {
  t.is(progressLine(half, 64 * 2 ** 20, null), 'writing: 1,000/2,000 files, 512 MiB of 1.0 GiB, 64.0 MiB/s, 8s left');
});

test('what is not known is left out', (t) => {
  t.is(progressLine({ ...half, totalFiles: null, totalBytes: null }, null, null), 'writing: 1,000 files, 512 MiB');
  t.is(progressLine({ ...half, note: 'loading\nHSM001L8' }, 0, null), 'writing: 1,000/2,000 files, 512 MiB of 1.0 GiB, loading\\nHSM001L8');
});

test('the bar fills what the line leaves and never makes it wider than the terminal', (t) => {
  t.is(progressLine(half, null, 80), 'writing [###############---------------] 1,000/2,000 files, 512 MiB of 1.0 GiB');
  for (let width = 1; width < 120; width += 1) t.true(progressLine(half, 1e6, width).length <= width);
  t.true(progressLine({ ...half, bytes: 2 ** 40 }, null, 80).includes('[##############################]'));
  t.false(progressLine({ ...half, totalFiles: 0, totalBytes: 0, bytes: 0, files: 0 }, null, 80).includes('NaN'));
});

test('a terminal that does not know its width gets a bar of the usual one', (t) => {
  const screen = new Screen(true, 0);
  new ProgressView(screen).update(half);
  t.regex(screen.text, /writing \[#+-+\] 1,000\/2,000 files/);
});

test('on a terminal the bar is redrawn at most ten times a second and taken away', (t) => {
  let now = 0;
  const screen = new Screen(true);
  const view = new ProgressView(screen, () => now);
  for (; now < 1000; now += 10) view.update(half);
  t.is(screen.text.match(/\r/g)?.length, 10);
  t.false(screen.text.includes('\n'));
  view.clear();
  t.true(screen.text.endsWith('\r\x1b[K'));
  const length = screen.text.length;
  view.clear();
  t.is(screen.text.length, length);
});

test('elsewhere there is a whole line every ten seconds and none before', (t) => {
  let now = 0;
  const screen = new Screen(false);
  const view = new ProgressView(screen, () => now);
  for (; now < 9_999; now += 100) view.update(half);
  t.is(screen.text, '');
  for (; now <= 30_000; now += 100) view.update(half);
  t.is(screen.text.split('\n').length, 4);
  t.notRegex(screen.text, /[\r\x1b]/);
  view.clear();
  t.true(screen.text.endsWith('\n'));
});

test('the rate is that of the last ten seconds and starts anew with a phase', (t) => {
  let now = 0;
  const screen = new Screen(true);
  const view = new ProgressView(screen, () => now);
  for (; now <= 20_000; now += 1000) view.update({ ...half, bytes: now * 1000, totalBytes: null });
  t.regex(screen.text.split('\r').at(-1) ?? '', /977 KiB\/s/);
  for (; now <= 40_000; now += 1000) view.update({ ...half, bytes: 20_000_000 + (now - 20_000) * 2000, totalBytes: null });
  t.regex(screen.text.split('\r').at(-1) ?? '', /1\.9 MiB\/s/);
  view.update({ ...half, phase: 'verifying', bytes: 0, totalBytes: null });
  t.notRegex(screen.text.split('\r').at(-1) ?? '', /\/s/);
});
