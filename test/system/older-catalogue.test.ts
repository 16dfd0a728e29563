import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import Database from 'better-sqlite3';
import { execa } from 'execa';
import { kernelTest } from '../fixtures/loopfs.ts';
import { managed, processesOf } from '../fixtures/managed.ts';

const realTest = kernelTest(test);

realTest('with an older copy of the catalogue put back, stubs that it knows nothing of never read as zeros, and their tape is not written over', async (t) => {
  t.timeout(240_000);
  const hsm = await managed(t, 'ext4', { sizeMiB: 64 });
  const database = join(hsm.folder, 'state', 'catalogue.db');
  const path = join(hsm.mount, 'file');
  const content = 'not zeros '.repeat(5000);
  writeFileSync(path, content);
  t.is(await hsm.stopDaemon(), 0);
  t.deepEqual(await processesOf(hsm.folder), [], 'without a stub nothing stays behind');
  copyFileSync(database, `${database}.older`);
  copyFileSync(database, `${database}.newer`);
  const putBack = async (which: 'older' | 'newer'): Promise<void> => {
    await hsm.stopDaemon();
    if (which === 'older') copyFileSync(database, `${database}.newer`);
    for (const ending of ['', '-wal', '-shm']) rmSync(`${database}${ending}`, { force: true });
    copyFileSync(`${database}.${which}`, database);
    await hsm.startDaemon();
  };
  const cat = () => execa('cat', [path], { reject: false, timeout: 30_000 });

  await hsm.startDaemon();
  await hsm.json('archive', '--older-than', '0s', '--by', 'mtime', hsm.mount);
  await putBack('older');
  t.regex((await cat()).stderr, /Input\/output error/);
  await hsm.stopDaemon();
  t.regex((await cat()).stderr, /Resource temporarily unavailable/);
  await hsm.startDaemon();
  writeFileSync(join(hsm.mount, 'other'), content);
  await hsm.hsm('archive', '--older-than', '0s', '--by', 'mtime', hsm.mount);
  await putBack('newer');
  t.is((await cat()).stdout, content);
});

realTest('a catalogue that was copied while a container was written appends behind that container, not over it', async (t) => {
  t.timeout(240_000);
  const hsm = await managed(t, 'ext4', { sizeMiB: 64 });
  const database = join(hsm.folder, 'state', 'catalogue.db');
  const archive = () => hsm.json('archive', '--older-than', '0s', '--by', 'mtime', hsm.mount);
  const putBack = (copy: string): void => {
    for (const ending of ['', '-wal', '-shm']) rmSync(`${database}${ending}`, { force: true });
    copyFileSync(copy, database);
  };
  writeFileSync(join(hsm.mount, 'first'), 'first '.repeat(5000));
  await archive();
  await hsm.stopDaemon();
  copyFileSync(database, `${database}.older`);
  const older = new Database(`${database}.older`);
  const begun = older
    .prepare("INSERT INTO containers (volume, number, start_block, state) SELECT v.id, 1 + max(c.number), v.end_block, 'writing' FROM volumes v JOIN containers c ON c.volume = v.id GROUP BY v.id")
    .run();
  older.close();
  t.is(begun.changes, 1);

  await hsm.startDaemon();
  const path = join(hsm.mount, 'second');
  const content = 'not zeros '.repeat(5000);
  writeFileSync(path, content);
  await archive();
  await hsm.stopDaemon();
  copyFileSync(database, `${database}.newer`);
  putBack(`${database}.older`);
  await hsm.startDaemon();
  writeFileSync(join(hsm.mount, 'third'), 'third '.repeat(5000));
  const [summary] = (await archive()).slice(-1);
  t.like(summary, { archived: 1, released: 1 });
  await hsm.stopDaemon();
  putBack(`${database}.newer`);
  await hsm.startDaemon();
  t.is((await execa('cat', [path], { timeout: 30_000 })).stdout, content);
});
