import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { seededRandom } from '../fixtures/random.ts';
import { makeDisk, partitions } from './rig/disk.ts';
import { inspect, listen } from './rig/survivor.ts';
import { guestScript, rootGuestTest, runGuest } from './rig/testing.ts';
import { flushesOf, readWriteLog, replay, type Entry } from './rig/write-log.ts';

const points = Number(process.env['WRITE_LOG_POINTS'] ?? 8);
const rounds = Number(process.env['WRITE_LOG_ROUNDS'] ?? 2);
const limit = 900_000;

rootGuestTest(test)('at whatever flush the power goes, every file is on disk or on tape, whole', async (t) => {
  t.timeout(limit + points * 120_000);
  const folder = mkdtempSync(join(tmpdir(), 'hsm-write-log-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const [disk = '', growing = '', forgetful = '', cut = '', log = ''] = ['disk', 'growing', 'forgetful', 'cut', 'log'].map((name) => join(folder, name));
  await makeDisk(disk);
  for (const each of [growing, forgetful]) await copy(disk, each);
  writeFileSync(log, '');
  const told = { sums: new Map<string, string>(), objects: new Map<string, string>() };
  const { exitCode, lines, console } = await runGuest(t, {
    kernel: '6.12',
    script: guestScript('crash', folder, String(rounds)),
    disks: [`driver=blklogwrites,file.driver=file,file.filename=${disk},log.driver=file,log.filename=${log},log-sector-size=512,log-super-update-interval=1`],
    limit,
    onLine: (line) => listen(told, line),
  });
  t.is(exitCode, 0, `${lines.slice(-10).join('\n')}\n${console}`);
  t.deepEqual(lines.filter((line) => line.startsWith('not ok')), []);

  const entries = readWriteLog(log);
  // From the first marker on: before it there is nothing to lose.
  const start = entries.findIndex(({ offset }) => offset === partitions[2].offset);
  const flushes = flushesOf(entries).filter((index) => index > start);
  const random = seededRandom(1);
  const totals = { looked: 0, files: 0, stubs: 0, acked: 0 };
  let done = 0;
  for (const [index, flush] of spread(flushes, points).entries()) {
    replay(log, entries.slice(done, flush + 1), growing);
    done = flush + 1;
    await copy(growing, cut);
    // Between two flushes a disk may keep any of the writes and lose the others.
    if (index % 2 === 1) replay(log, untilFlush(entries, done).filter(() => random() < 0.5), cut);
    const found = await inspect(cut, folder, told, { rerun: false });
    t.deepEqual(found.wrong, [], `entry ${flush} of ${entries.length}`);
    totals.looked += 1;
    for (const key of ['files', 'stubs', 'acked'] as const) totals[key] += found[key];
  }
  t.true(totals.looked > 0);
  // Would it be noticed? State and library as at the first marker, the files as at the end.
  replay(log, entries.filter(({ offset }, index) => index <= start || offset < partitions[1].offset || offset >= partitions[2].offset), forgetful);
  t.true((await inspect(forgetful, folder, told, { rerun: false })).wrong.length > 0);
  t.log(`${entries.length} entries, ${flushes.length} flushes, ${totals.looked} looked at: ${totals.files} files read right, ${totals.stubs} from stubs; ${totals.acked} had been promised to be on tape, and were`);
});

/** At most `count` of them, evenly, the last one included. */
const spread = (all: readonly number[], count: number): number[] =>
  all.length <= count ? [...all] : Array.from({ length: count }, (_, index) => all[Math.ceil(((index + 1) * all.length) / count) - 1] ?? 0);

const untilFlush = (entries: readonly Entry[], from: number): Entry[] => {
  const next = entries.findIndex(({ flush }, index) => index >= from && flush);
  return entries.slice(from, next < 0 ? entries.length : next);
};

async function copy(from: string, to: string): Promise<void> {
  await execa('cp', ['--sparse=always', from, to], { timeout: limit });
}
