/** Requests for the simulator: files in containers on LTO-9 cartridges. */
import { physicalPosition, tapeModels } from '../../src/library/timing.ts';
import { blockSize, type Geometry } from '../../src/recall/scheduler/travel.ts';
import type { Queued } from '../../src/recall/scheduler/volume-queue.ts';

export const model = tapeModels.lto9;
const capacity = 18e12;
export const volumeBlocks = Math.floor(capacity / blockSize);
export const geometry: Geometry = { model, position: (block) => physicalPosition(model, capacity, block * blockSize) };

const containerBlocks = 4096;
/** What a directory takes on tape, bytes: files of one directory lie together. */
const directoryBytes = 20e9;

export interface SimulatedRequest extends Queued {
  readonly volume: string;
  readonly copies: readonly { readonly startBlock: number; readonly offset: number; readonly length: number }[];
}

let nextId = 1;

export function requestAt(volume: string, block: number, length: number, createdAt: number, owner = 'u1'): SimulatedRequest {
  const startBlock = Math.floor(block / containerBlocks) * containerBlocks;
  return { id: nextId++, volume, createdAt, priority: 100, owner, waiters: { size: 1 }, copies: [{ startBlock, offset: (block - startBlock) * blockSize, length }] };
}

export type Spread = 'uniform' | 'clustered';

/** Blocks of `count` files in random order: anywhere, or eight by eight out of a directory. */
export function scatter(spread: Spread, count: number, random: () => number): number[] {
  const anywhere = (): number => Math.floor(random() * (volumeBlocks - 2 * containerBlocks));
  if (spread === 'uniform') return Array.from({ length: count }, anywhere);
  const directories = Array.from({ length: Math.ceil(count / 8) }, anywhere);
  const blocks = Array.from({ length: count }, (_, i) => Math.min(volumeBlocks - 2 * containerBlocks, directories[i % directories.length]! + Math.floor((random() * directoryBytes) / blockSize)));
  for (let i = blocks.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [blocks[i], blocks[j]] = [blocks[j]!, blocks[i]!];
  }
  return blocks;
}
