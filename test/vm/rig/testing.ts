/** Tests that run scripts of `test/vm/guest/` in a guest. */
import { existsSync } from 'node:fs';
import type { ExecutionContext, TestFn } from 'ava';
import { projectRoot } from '../../../src/native/index.ts';
import { startGuest, type Ended, type GuestOptions } from './guest.ts';

/** Files and the Debian packages that have them. */
const needed: Readonly<Record<string, string>> = {
  '/usr/bin/qemu-system-x86_64': 'qemu-system-x86',
  '/bin/busybox': 'busybox-static',
  '/sbin/depmod': 'kmod',
  '/usr/bin/xz': 'xz-utils',
  '/sbin/mkfs.ext4': 'e2fsprogs',
  '/usr/bin/getfattr': 'attr',
  '/usr/bin/setpriv': 'util-linux',
  '/usr/bin/python3': 'python3',
};

/** What a tape library needs on top of that: tgtd here, mtx in the guest, which sees this machine's programs. */
const tapeTools: Readonly<Record<string, string>> = { '/usr/sbin/tgtd': 'tgt', '/usr/lib/x86_64-linux-gnu/qemu/block-iscsi.so': 'qemu-block-extra', '/usr/sbin/mtx': 'mtx' };

/** As `guestTest`, for guests with tape drives. */
export const tapeGuestTest = (test: TestFn): ReturnType<typeof guestTest> => guestTest(test, { ...needed, ...tapeTools });

/** `test` where guests can run; elsewhere the tests are skipped, and the reason is printed. */
export function guestTest(test: TestFn, tools = needed): (title: string, body: (t: ExecutionContext) => Promise<void>) => void {
  const missing = Object.entries(tools).filter(([path]) => !existsSync(path)).map(([, name]) => name);
  if (missing.length === 0) return (title, body) => test(title, body);
  // .ci/run installs all of it and counts a skip as a failure.
  return (title) => test.skip(`${title} (skipped: apt-get install ${missing.join(' ')})`, () => undefined);
}

/** As `guestTest`, where disks of guests can be mounted here, too. */
export function rootGuestTest(test: TestFn): ReturnType<typeof guestTest> {
  if (process.getuid?.() === 0) return guestTest(test);
  return (title) => test.skip(`${title} (skipped: needs root for loop mounts)`, () => undefined);
}

/** As `guestTest`, in long runs only: HSM_VM_LONG=1. */
export function longGuestTest(test: TestFn): ReturnType<typeof guestTest> {
  return process.env['HSM_VM_LONG'] === '1' ? guestTest(test) : () => undefined;
}

/** The command line of a script of `test/vm/guest/`. */
export const guestScript = (name: string, ...words: string[]): string => ['bash', `${projectRoot}test/vm/guest/${name}.sh`, projectRoot.replace(/\/$/, ''), ...words].join(' ');

/** Runs a guest to its end; the test's end is its end. */
export async function runGuest(t: ExecutionContext, options: GuestOptions): Promise<Ended> {
  const guest = await startGuest(options);
  t.teardown(guest.cutPower);
  return guest.ended;
}

/** Passes when the script has reached its end and every check held. */
export async function passesInGuest(t: ExecutionContext, options: GuestOptions): Promise<void> {
  const { exitCode, lines, console } = await runGuest(t, options);
  const wrong = lines.filter((line) => line.startsWith('not ok '));
  const right = lines.filter((line) => line.startsWith('ok ')).length;
  t.log(`Linux ${options.kernel}: ${right} checks held`);
  for (const line of lines) if (/^\d+ wrong, /.test(line)) t.log(line);
  t.deepEqual(wrong, []);
  const planned = Number(/^done (\d+)$/.exec(lines.findLast((line) => line.startsWith('done ')) ?? '')?.[1]);
  if (planned !== right || exitCode !== 0) t.fail(`exit ${exitCode}, ${right} of ${planned} checks:\n${lines.slice(-20).join('\n')}\n${console}`);
}
