/** The tape files of an LTFS volume, one folder each, and the block addresses that they have. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errorCode, HsmError } from '../../errors.ts';
import { native } from '../../native/index.ts';
import type { BlockAddress } from '../medium.ts';
import { folderName, folderNumber, ltfsNames, ltfsXattrs } from './layout.ts';

export interface TapeFolder {
  /** From 0, which is that of the label. */
  readonly number: number;
  readonly start: BlockAddress;
  readonly blocks: number;
  /** A filemark follows. */
  readonly ended: boolean;
  /** Files in it. */
  readonly members: number;
}

/** Behind the folder's last object. */
export const endOf = ({ start, blocks, ended }: Pick<TapeFolder, 'start' | 'blocks' | 'ended'>): BlockAddress => start + blocks + (ended ? 1 : 0);

export const folderPath = (root: string, number: number): string => join(root, ltfsNames.containers, folderName(number));

const count = z.int().nonnegative();
const summary = z.object({ blocks: count, ended: z.boolean(), members: count });

/**
 * Those that were finished, in order; null where the volume holds something that is not hsm's. A folder without its attribute was never
 * finished: that can only be the last. Fails with `EIO` where it is not.
 */
export async function readFolders(root: string): Promise<TapeFolder[] | null> {
  const names = await readdir(root);
  if (!names.includes(ltfsNames.containers)) return names.length === 0 ? [] : null;
  const there = new Set((await readdir(join(root, ltfsNames.containers))).flatMap((name) => folderNumber(name) ?? []));
  const folders: TapeFolder[] = [];
  for (let number = 0, start = 0; there.has(number); number += 1) {
    const found = await summaryOf(folderPath(root, number));
    if (found === null) break;
    const folder = { number, start, ...found };
    folders.push(folder);
    start = endOf(folder);
    if (!folder.ended) break;
  }
  const stray = [...there].find((number) => number > folders.length);
  if (stray !== undefined) throw new HsmError('EIO', `${folderPath(root, folders.length)} is damaged, and ${folderName(stray)} is behind it`, { retry: 'other-copy' });
  return folders;
}

async function summaryOf(path: string): Promise<z.infer<typeof summary> | null> {
  const value = await native.getxattrAsync(path, ltfsXattrs.container);
  if (value === null) return null;
  try {
    return summary.parse(JSON.parse(value.toString('utf8')));
  } catch (error) {
    if (errorCode(error) !== 'INTERNAL') throw error;
    return null;
  }
}
