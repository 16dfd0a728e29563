/** Volumes are reclaimed, exported, imported, verified and repaired under a running daemon; deleted files come back. */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { kernelTest } from '../fixtures/loopfs.ts';
import { managed } from '../fixtures/managed.ts';
import { seededBytes } from '../fixtures/random.ts';
import { until } from '../fixtures/until.ts';

const root = kernelTest(test);

/** Read by another program: our own reads would wait on the one thread that looks after the daemon. */
const hashOf = async (path: string): Promise<string> => (await execa('sha256sum', [path], { timeout: 120_000 })).stdout.split(' ')[0] ?? '';

root('a tape shop: reconcile, undelete, reclaim, export, import, verify', async (t) => {
  t.timeout(300_000);
  const hsm = await managed(t, 'ext4', { sizeMiB: 256 });
  const hashes = new Map<string, string>();
  for (let i = 0; i < 60; i += 1) {
    const path = join(hsm.mount, `file-${i}`);
    const bytes = seededBytes(i + 1, 1 + i * 1700);
    writeFileSync(path, bytes);
    utimesSync(path, 1_400_000_000, 1_400_000_000);
    hashes.set(path, createHash('sha256').update(bytes).digest('hex'));
  }
  const at = (i: number): string => join(hsm.mount, `file-${i}`);
  await hsm.json('archive', '--older-than', '4y', hsm.mount);
  const volumes = async (): Promise<Record<string, unknown>[]> => hsm.json('tape', 'ls');
  const first = String((await volumes()).find(({ objects }) => Number(objects) > 0)?.['barcode']);

  for (let i = 0; i < 30; i += 1) rmSync(at(i));
  renameSync(at(30), join(hsm.mount, 'renamed'));
  const found = (await hsm.json('reconcile', hsm.mount)).at(-1);
  t.deepEqual(found?.['findings'], { gone: 30, renamed: 1 });
  t.is((await hsm.json('reconcile', hsm.mount)).length, 1);

  const listed = await hsm.json('undelete', '--list', at(7));
  t.is(listed.length, 1);
  await hsm.json('undelete', at(7));
  t.is(await hashOf(at(7)), hashes.get(at(7))!);
  t.is((await hsm.hsm('undelete', '--into', hsm.mount, at(7))).exitCode, 1, 'there is no old version any more');

  const reclaimed = await hsm.json('tape', 'reclaim', first);
  t.like(reclaimed[0], { barcode: first, result: 'scratch' });
  t.is(reclaimed.at(-1)?.['failed'], 0);
  const second = String((await volumes()).find(({ objects }) => Number(objects) > 0)?.['barcode']);
  t.not(second, first);
  t.is(await hashOf(at(40)), hashes.get(at(40))!);

  await hsm.json('tape', 'export', second);
  const reader = hashOf(at(41));
  const waiting = await until(async () => (await hsm.json('queue')).find(({ reason }) => reason !== null));
  t.regex(String(waiting['reason']), new RegExp(`${second} is on the shelf`));
  await hsm.json('tape', 'import', second);
  t.is(await reader, hashes.get(at(41))!);

  // The catalogue is lost: what a rebuild makes of it knows the volume that was reclaimed as scratch, and everything else as before.
  await hsm.stopDaemon();
  const rebuilt = await hsm.hsm('rebuild', '--from-tapes', '--replace');
  t.is(rebuilt.exitCode, 0, rebuilt.stderr + rebuilt.stdout);
  await hsm.startDaemon();
  t.like((await volumes()).find(({ barcode }) => barcode === first), { state: 'scratch', objects: 0, used: 0 });
  t.is(await hashOf(at(42)), hashes.get(at(42))!);
  t.is((await hsm.json('reconcile', hsm.mount)).length, 1);

  t.is((await hsm.hsm('tape', 'retire', second)).exitCode, 5);
  t.is((await hsm.hsm('tape', 'retire', first)).exitCode, 0);
  t.is((await hsm.hsm('tape', 'show', first)).exitCode, 1);

  const verified = await hsm.json('verify', '--rate', '100M', '--repair');
  t.like(verified.at(-1), { damaged: 0, repaired: 0 });
  t.like((await hsm.json('verify', '--not-verified-since', '1d')).at(-1), { checked: 0, damaged: 0 });
  t.is((await hsm.hsm('verify', '--sample', 'much')).exitCode, 2);
  for (let i = 42; i < 60; i += 1) t.is(await hashOf(at(i)), hashes.get(at(i))!);
  t.is(await hashOf(join(hsm.mount, 'renamed')), hashes.get(at(30))!);
  t.true(readFileSync(at(7)).length > 0);
});
