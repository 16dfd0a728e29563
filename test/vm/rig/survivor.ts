/** What is on a disk whose machine is gone: its filesystems are mounted here, and a daemon of this machine serves them. Needs root. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { bin } from '../../fixtures/managed.ts';
import { until } from '../../fixtures/until.ts';
import { partitions, readMarker } from './disk.ts';

export interface Found {
  /** Files that had to be there, and how many of them were stubs. */
  readonly files: number;
  readonly stubs: number;
  /** Objects of which a client was told that they are archived. */
  readonly acked: number;
  /** What should not be; empty when both laws held. */
  readonly wrong: readonly string[];
}

/** What the guest said before it went. */
export interface Told {
  /** SHA-256 by path. */
  readonly sums: Map<string, string>;
  /** Path by object id. */
  readonly objects: Map<string, string>;
}

/** Notes what a line of the guest tells. */
export function listen(told: Told, line: string): void {
  const [word, value = '', path = ''] = line.split(' ');
  if (word === 'sum') told.sums.set(path, value);
  if (word === 'object') told.objects.set(value, path);
}

const limit = 300_000;

/**
 * `folder`: where the guest had its mount points. `rerun`: every tape is verified, and everything archived and read once more. Changes
 * the disk.
 */
export async function inspect(disk: string, folder: string, told: Told, { rerun }: { readonly rerun: boolean }): Promise<Found> {
  const mounts = ['data', 'hsm'].map((name) => join(folder, name));
  try {
    for (const [index, mount] of mounts.entries()) {
      mkdirSync(mount, { recursive: true });
      await execa('mount', ['-o', `loop,offset=${partitions[index]?.offset},sizelimit=${partitions[index]?.size}`, disk, mount], { timeout: limit });
    }
    const [data = '', hsm = ''] = mounts;
    const config = join(hsm, 'hsm.toml');
    return await withDaemon(config, () => judge(disk, data, config, told, rerun));
  } finally {
    for (const mount of mounts) await unmount(mount);
  }
}

async function judge(disk: string, data: string, config: string, { sums, objects }: Told, rerun: boolean): Promise<Found> {
  const { written, acked } = readMarker(disk) ?? { written: [], acked: [] };
  const expected = [...sums].filter(([path]) => written.includes(folderOf(path)));
  const promised = [...objects].filter(([, path]) => acked.includes(folderOf(path)));
  const rows = await json<{ path: string; state: string }>(config, 'ls', '-R', data);
  const onTape = await objectsOnTape(config);
  const wrong = promised.filter(([object]) => !onTape.has(object)).map(([, path]) => `${path}: archived, the client was told, but not in the catalogue`);
  wrong.push(...(await unlike(data, expected)));
  if (rerun) {
    const damaged = await json<{ damaged: number }>(config, 'verify');
    if (damaged.at(-1)?.damaged !== 0) wrong.push(`verify: ${JSON.stringify(damaged)}`);
    const again = await json<{ failed: number }>(config, 'archive', '--older-than', '0s', data);
    if (again.at(-1)?.failed !== 0) wrong.push('archiving again failed');
    wrong.push(...(await unlike(data, expected)));
  }
  return { files: expected.length, stubs: rows.filter(({ state }) => state === 'stub').length, acked: promised.length, wrong };
}

/** Ids of all that the catalogue knows to be on some volume. */
async function objectsOnTape(config: string): Promise<Set<string>> {
  const volumes = await json<{ barcode: string; live: number }>(config, 'tape', 'ls');
  const lists = await Promise.all(volumes.map(({ barcode }) => json<{ object?: string }>(config, 'tape', 'show', barcode)));
  return new Set(lists.flat().flatMap(({ object }) => object ?? []));
}

const folderOf = (path: string): string => path.split('/', 1)[0] ?? '';

/** Reads every file as anybody would. */
async function unlike(data: string, expected: readonly (readonly [path: string, sum: string])[]): Promise<string[]> {
  if (expected.length === 0) return [];
  const input = expected.map(([path, sum]) => `${sum}  ${path}\n`).join('');
  const { stdout } = await execa('sha256sum', ['-c', '--quiet'], { cwd: data, input, reject: false, timeout: limit, all: true });
  return stdout.split('\n').filter(Boolean);
}

async function json<T>(config: string, ...words: string[]): Promise<T[]> {
  const { stdout } = await execa(bin, ['--config', config, '--json', ...words], { timeout: limit });
  return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line) as T);
}

async function withDaemon<T>(config: string, use: () => Promise<T>): Promise<T> {
  const daemon = execa(bin, ['--config', config, 'daemon'], { reject: false, timeout: limit, all: true, buffer: false });
  let printed = '';
  let ended = false;
  daemon.all.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  void daemon.then(() => (ended = true));
  try {
    await until(() => {
      if (ended) throw new Error(`hsm daemon: ${printed}`);
      return /^ready$/m.test(printed);
    }, 90_000, 'the daemon is ready');
    return await use();
  } finally {
    daemon.kill('SIGTERM');
    await daemon;
  }
}

/** The denier that the daemon leaves lets go of the filesystem in a moment. */
async function unmount(mount: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const { exitCode, stderr } = await execa('umount', [mount], { reject: false, timeout: limit });
    if (exitCode === 0 || stderr.includes('not mounted') || stderr.includes('no mount point')) return;
    await sleep(50);
  }
  await execa('umount', ['-l', mount], { timeout: limit });
}
