/** The conformance suite of access paths on one type of filesystem: one archive job, then a test for each path and user. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { accessCases, type Filesystem, isExpected, layOut, runTrial, type Trial, users } from '../../src/access/index.ts';
import { managed, type Managed, summaryOf } from '../fixtures/managed.ts';

/** Only what hangs takes so long. */
const limitMs = 60_000;

interface Prepared {
  readonly hsm: Managed;
  readonly elsewhere: string;
  readonly trials: readonly Trial[];
}

/** `eventFd`: of the config; with `rdwr` whoever comes through a read-only view of the filesystem is refused. */
export function accessSuite(type: Filesystem, { eventFd = 'auto' }: { readonly eventFd?: 'auto' | 'rdwr' } = {}): void {
  if (process.getuid?.() !== 0) {
    test.skip(`access paths on ${type} (skipped: needs root for loop mounts)`, () => undefined);
    return;
  }
  const cleanUp: (() => unknown)[] = [];
  let prepared: Prepared | null = null;
  test.before(async (t) => {
    t.timeout(300_000);
    prepared = await prepare(type, eventFd, (step) => cleanUp.unshift(step));
  });
  test.after.always(async () => {
    for (const step of cleanUp) await step();
  });
  for (const user of users) {
    for (const each of accessCases) {
      if (each.types?.includes(type) === false || each.users?.includes(user.name) === false) continue;
      const expected = eventFd === 'rdwr' && each.readOnlyView === true ? { refused: 'the kernel cannot open it for writing' } : each;
      const promise = expected.refused === undefined ? 'shows the bytes of the file' : 'ends with an error';
      test(`${each.family} ${each.name} of a stub by ${user.name} on ${type} ${promise}`, async (t) => {
        const trial = prepared?.trials.find((one) => one.case === each && one.user === user);
        if (trial === undefined) throw new Error('it has no files');
        const verdict = await runTrial(trial, limitMs);
        t.true(isExpected(expected, verdict), `${verdict.result}: ${verdict.reason ?? ''}`);
      });
    }
  }
  test(`nothing that the access paths mounted on ${type} is left`, async (t) => {
    const { elsewhere } = prepared ?? { elsewhere: '/nowhere' };
    t.false(readFileSync('/proc/self/mountinfo', 'utf8').includes(elsewhere));
  });
}

async function prepare(type: Filesystem, eventFd: string, later: (step: () => unknown) => void): Promise<Prepared> {
  const elsewhere = mkdtempSync(join(tmpdir(), 'hsm-access-'));
  later(() => rmSync(elsewhere, { recursive: true, force: true }));
  chmodSync(elsewhere, 0o755);
  const hsm = await managed({ teardown: later }, type, { sizeMiB: 1024, recall: `event_fd = "${eventFd}"` });
  // The image's folder is private to root.
  chmodSync(join(hsm.mount, '..'), 0o755);
  chmodSync(hsm.mount, 0o755);
  const folder = join(hsm.mount, 'access');
  mkdirSync(folder);
  const trials = await layOut(accessCases, users, { folder, type, elsewhere });
  const summary = summaryOf(await hsm.json('archive', '--older-than', '4y', folder));
  if (summary.failed > 0 || summary.released < trials.length) throw new Error(`not all became stubs: ${JSON.stringify(summary)}`);
  return { hsm, elsewhere, trials };
}
