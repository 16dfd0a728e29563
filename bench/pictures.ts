/**
 * Takes the pictures of `hsm tui` in docs/pictures: a real daemon with real readers on a virtual library with the timing of LTO-9, in a real terminal.
 * usage, as root: node bench/pictures.ts      (after npm run build; takes some minutes)
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { projectRoot } from '../src/native/index.ts';
import { bin, managed } from '../test/fixtures/managed.ts';
import { openTmux } from '../test/fixtures/tmux.ts';
import { until } from '../test/fixtures/until.ts';
import { svgOf } from './svg.ts';

const columns = 118;
const rows = 30;
const patience = 280_000;
const readers = ['cat', 'md5sum', 'tac', 'wc', 'sha256sum', 'cat', 'grep', 'head', 'cat', 'od', 'cat', 'cksum', 'sort', 'tail'];
const folders = ['genome/run-07', 'genome/run-08', 'climate/era5-1979', 'films/scans'];

const teardowns: (() => unknown)[] = [];
const context = { teardown: (down: () => unknown): void => void teardowns.unshift(down) };
try {
  const hsm = await managed(context, 'ext4', { sizeMiB: 1024, init: ['--drives', '2', '--cartridges', '6', '--capacity', '100M'] });
  // Readers of another user must get there.
  chmodSync(join(hsm.mount, '..'), 0o755);
  for (const [index, folder] of folders.entries()) fill(join(hsm.mount, folder), index);
  await hsm.json('archive', '--older-than', '0s', hsm.mount);
  await hsm.stopDaemon();
  writeFileSync(hsm.config, readFileSync(hsm.config, 'utf8').replace('timing = "none"', 'timing = "lto9"'));
  await hsm.startDaemon();
  readers.forEach((program, i) => {
    const words = [...(program === 'grep' ? ['grep', '-c', 'x'] : [program]), join(hsm.mount, folders[i % folders.length] ?? '', `sample-${10 + i * 7}.dat`)];
    const reader = execa('setpriv', ['--reuid', String(i % 3 === 0 ? 0 : 1), ...words], { reject: false, timeout: patience + 60_000, stdout: 'ignore', stderr: 'ignore' });
    context.teardown(() => reader.kill());
  });
  void hsm.hsm('recall', join(hsm.mount, 'climate'));
  const terminal = await openTmux(context, [bin, '--config', hsm.config, 'tui', '--colours', '256'], { columns, rows });
  await terminal.shows(/recalls +\d+ queued/);
  await until(async () => (await hsm.json('queue')).some(({ state }) => state === 'restoring' || state === 'locating'), patience);
  mkdirSync(join(projectRoot, 'docs/pictures'), { recursive: true });
  const take = async (name: string): Promise<void> => writeFileSync(join(projectRoot, 'docs/pictures', `${name}.svg`), svgOf(await terminal.coloured(), columns, rows));
  await take('overview');
  await terminal.keys('u', 'Enter');
  await terminal.shows(/^ on tape/);
  await take('requests');
} finally {
  for (const down of teardowns) await down();
}

function fill(folder: string, salt: number): void {
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < 120; i += 1) writeFileSync(join(folder, `sample-${i}.dat`), Buffer.alloc(200_000 + ((i * 7919 + salt * 104_729) % 900_000), `${folder} ${i}`));
}
