import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { makeDisk } from './rig/disk.ts';
import { startGuest } from './rig/guest.ts';
import type { KernelName } from './rig/kernels.ts';
import { inspect, listen } from './rig/survivor.ts';
import { guestScript, rootGuestTest } from './rig/testing.ts';

const cycles = Number(process.env['POWER_CUTS'] ?? 2);
/** The cut comes within `longestMs` after one of so many first steps: four make a round. */
const steps = 10;
const longestMs = 2500;
const kernels = (process.env['POWER_CUT_KERNELS'] ?? '6.12').split(' ') as KernelName[];
const limit = 600_000;

rootGuestTest(test)('a machine that loses its power while it archives and recalls has lost nothing it answered for', async (t) => {
  t.timeout(limit * cycles);
  const folder = mkdtempSync(join(tmpdir(), 'hsm-power-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const disk = join(folder, 'disk');
  await makeDisk(disk);
  const told = { sums: new Map<string, string>(), objects: new Map<string, string>() };
  const totals = { files: 0, stubs: 0, acked: 0 };
  for (let cycle = 0; cycle < cycles; cycle++) {
    const wrong: string[] = [];
    let cut: NodeJS.Timeout | undefined;
    let left = Math.ceil(Math.random() * steps);
    const guest = await startGuest({
      kernel: kernels[cycle % kernels.length] ?? '6.12',
      script: guestScript('crash', folder),
      disks: [disk],
      limit,
      onLine: (line) => {
        listen(told, line);
        if (line.startsWith('not ok ')) wrong.push(line);
        if (/^(written|acked|recall|release) /.test(line)) left -= 1;
        if (left === 0) cut ??= setTimeout(guest.cutPower, Math.random() * longestMs);
      },
    });
    t.teardown(guest.cutPower);
    const { exitCode, lines, console } = await guest.ended;
    if (exitCode !== null || cut === undefined) t.fail(`it ended by itself, ${exitCode}: ${lines.slice(-10).join('\n')}\n${console}`);
    const found = await inspect(disk, folder, told, { rerun: true });
    t.deepEqual([...wrong, ...found.wrong], [], `cycle ${cycle}`);
    for (const key of ['files', 'stubs', 'acked'] as const) totals[key] += found[key];
  }
  t.true(totals.files > 0);
  t.log(`${cycles} power cuts: ${totals.files} files read right after them, ${totals.stubs} from stubs; ${totals.acked} had been promised to be on tape, and were`);
});
