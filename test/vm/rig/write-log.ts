/**
 * The log that QEMU's blklogwrites and Linux's dm-log-writes keep of all that is written to a disk, and what a power cut would have left
 * at any moment of it. Format: Documentation/admin-guide/device-mapper/log-writes.rst and drivers/md/dm-log-writes.c.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';

export interface Entry {
  /** Place and length on the disk, bytes. */
  readonly offset: number;
  readonly length: number;
  /** Where its data is in the log, bytes; discards have none. */
  readonly data: number;
  readonly flush: boolean;
  readonly discard: boolean;
}

const magic = 0x6a73_6677_7368_72n;
const flags = { flush: 1n, fua: 2n, discard: 4n, mark: 8n } as const;

/** All entries in the order in which they were written. */
export function readWriteLog(path: string): Entry[] {
  const log = openSync(path, 'r');
  try {
    const head = readAt(log, 0, 512);
    if (head.readBigUInt64LE(0) !== magic || head.readBigUInt64LE(8) !== 1n) throw new Error(`${path} is no write log`);
    const sector = head.readUInt32LE(24);
    const entries: Entry[] = [];
    let at = sector;
    for (let left = head.readBigUInt64LE(16); left > 0n; left -= 1n) {
      const entry = readAt(log, at, 32);
      const flag = entry.readBigUInt64LE(16);
      const length = Number(entry.readBigUInt64LE(8)) * sector;
      const discard = (flag & flags.discard) !== 0n;
      entries.push({ offset: Number(entry.readBigUInt64LE(0)) * sector, length, data: at + sector, flush: (flag & (flags.flush | flags.fua)) !== 0n, discard });
      at += sector + (discard ? 0 : length);
    }
    return entries;
  } finally {
    closeSync(log);
  }
}

/** Indexes of the entries at which everything before was durable. */
export const flushesOf = (entries: readonly Entry[]): number[] => entries.flatMap(({ flush }, index) => (flush ? [index] : []));

/** Does to the disk what these entries of the log say. */
export function replay(log: string, entries: readonly Entry[], disk: string): void {
  const from = openSync(log, 'r');
  const to = openSync(disk, 'r+');
  try {
    for (const { offset, length, data, discard } of entries) {
      if (length === 0) continue;
      writeSync(to, discard ? Buffer.alloc(length) : readAt(from, data, length), 0, length, offset);
    }
  } finally {
    closeSync(from);
    closeSync(to);
  }
}

function readAt(fd: number, offset: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  if (readSync(fd, buffer, 0, length, offset) !== length) throw new Error('the write log is cut short');
  return buffer;
}
