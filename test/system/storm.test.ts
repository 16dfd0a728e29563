import { appendFileSync, chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { kernelTest } from '../fixtures/loopfs.ts';
import { managed } from '../fixtures/managed.ts';
import { holdRecalls, isStub, makeStubs, queued, shellAs } from '../fixtures/stubs.ts';
import { until } from '../fixtures/until.ts';

const realTest = kernelTest(test);
const opens = Number(process.env['STORM'] ?? 4000);
const processes = Number(process.env['STORM_PROCESSES'] ?? 16);
const waiting = Number(process.env['STORM_WAITING'] ?? 60);
const limit = 280_000;

/** Opens $ARGV[1..] in turn, $ARGV[0] times in all; prints how often each errno came, and how many files had other bytes than their name. Its files are its own: two that want one wait for it together. */
const opener = 'my $n = shift; my (%e, $bad); for my $i (1..$n) { my $f = $ARGV[$i % @ARGV]; if (open(my $h, "<", $f)) { my $l = <$h>; $bad++ unless $f =~ m{/\\Q$l\\E$}; $e{ok}++ } else { $e{$!+0}++ } } print join(" ", map { "$_=$e{$_}" } sort keys %e), " bad=", $bad+0, "\\n"';
const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${prefix}${index}`);

const rules = `
[[recall.limit]]
name = "few"
uids = ["2000"]
concurrent = 2
action = "fail"

[[recall.limit]]
name = "none"
uids = ["2001"]
action = "deny"
`;

realTest('a storm of opens by one user keeps nobody else from his file, and everybody gets the right bytes or an errno', async (t) => {
  const hsm = await managed(t, 'ext4');
  const all = ['other', ...names('storm', 4 * processes), ...names('waits', waiting)];
  const [other = '', ...rest] = await makeStubs(hsm, Object.fromEntries(all.map((name) => [name, name])));
  chmodSync(dirname(hsm.mount), 0o755);
  const [stormed, waited] = [rest.slice(0, 4 * processes), rest.slice(4 * processes)];
  await hsm.stopDaemon();
  appendFileSync(hsm.config, rules);
  await hsm.startDaemon();
  const release = await holdRecalls(hsm);
  const readers = waited.map((path) => shellAs(2002, 'cat "$1"', path));
  await queued(hsm, waiting);
  const startedAt = performance.now();
  const crowd = Array.from({ length: processes }, async (_, index) => {
    const uid = 2000 + (index % 2);
    const { stdout } = await execa('setpriv', [`--reuid=${uid}`, '--regid=2000', '--clear-groups', 'perl', '-e', opener, String(Math.ceil(opens / processes)), ...stormed.slice(4 * index, 4 * index + 4)], { timeout: limit });
    return stdout;
  });
  const isStorm = async (): Promise<boolean> => {
    const { few = 0, none = 0 } = (await hsm.status()).recalls.refused;
    return few > 0 && none > 0 && few + none > opens / 20;
  };
  await until(isStorm);
  t.true(stormed.every(isStub) && waited.every(isStub), 'nobody was let through meanwhile');
  const asked = shellAs(3000, 'cat "$1"', other);
  const releasedAt = performance.now();
  await release();
  t.is((await asked).stdout, 'other');
  const otherMs = performance.now() - releasedAt;
  for (const [index, reader] of readers.entries()) t.is((await reader).stdout, `waits${index}`);
  const results = await Promise.all(crowd);
  const seconds = (performance.now() - startedAt) / 1000;
  const count = (what: string): number => results.reduce((sum, text) => sum + Number(new RegExp(`(?:^| )${what}=(\\d+)`).exec(text)?.[1] ?? 0), 0);
  const { daemon } = await hsm.status();
  const { stdout: memory } = await execa('grep', ['-E', 'VmHWM', `/proc/${daemon.pid}/status`], { timeout: limit });
  t.log(`${opens} opens by ${processes} processes in ${seconds.toFixed(1)} s: ${count('11')} EAGAIN, ${count('1')} EPERM, ${count('ok')} read; the other user's file ${otherMs.toFixed(0)} ms after the drives were up; daemon ${memory.trim()}`);
  t.is(count('ok') + count('11') + count('1'), Math.ceil(opens / processes) * processes);
  t.is(count('bad'), 0);
  t.true(count('11') > 0 && count('1') > 0);
});
