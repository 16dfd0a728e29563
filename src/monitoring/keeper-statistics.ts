/** What the keepers counted, read from the memory that they share with the daemon (native/keeper/table.h): no question is put to the keeper. */
import { readSync } from 'node:fs';
import type { Distribution } from './buckets.ts';

export interface KeeperStatistics {
  /** Keepers that served this table, one after the other. */
  readonly generation: number;
  /** Times that the kernel lost events. */
  readonly overflows: number;
  /** Questions about files whose data is on disk. */
  readonly resident: number;
  /** Questions that went to the daemon. */
  readonly stubs: number;
  /** Stubs that were denied at once. */
  readonly refused: number;
  /** Events that could not be opened. */
  readonly unreadable: number;
  /** How long first questions about resident files took, seconds. */
  readonly touches: Distribution;
}

const length = 4096;
const at = { generation: 20, overflows: 40, statistics: 3072 } as const;
/** Seconds; kTouchBoundsNs. */
const touchBounds: readonly number[] = [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1];

/** `table`: the fd of the keeper's table. */
export function keeperStatistics(table: number): KeeperStatistics {
  const data = Buffer.alloc(length);
  readSync(table, data, 0, length, 0);
  const number = (offset: number): number => Number(data.readBigUInt64LE(offset));
  const counter = (index: number): number => number(at.statistics + 8 * index);
  return {
    generation: data.readUInt32LE(at.generation),
    overflows: number(at.overflows),
    resident: counter(0),
    stubs: counter(1),
    refused: counter(2),
    unreadable: counter(3),
    touches: { bounds: touchBounds, sum: counter(4) / 1e9, counts: Array.from({ length: touchBounds.length + 1 }, (_, index) => counter(5 + index)) },
  };
}
