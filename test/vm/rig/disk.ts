/** A disk image with what a power cut leaves of hsm: partition 1 is the managed filesystem, 2 holds state and library, 3 the marker. */
import { closeSync, existsSync, openSync, readSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { execa } from 'execa';

export interface Partition {
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
}

const mib = 2 ** 20;
export const partitions = [
  { offset: mib, size: 160 * mib },
  { offset: 161 * mib, size: 480 * mib },
  { offset: 641 * mib, size: mib },
] as const satisfies readonly Partition[];

/** Folders by how far they are: durable on disk, and archived as the client was told. */
export interface Marker {
  readonly written: readonly string[];
  readonly acked: readonly string[];
}

/** Sparse; both filesystems are ext4. */
export async function makeDisk(path: string): Promise<void> {
  if (existsSync(path)) throw new Error(`${path} is there already`);
  writeFileSync(path, '');
  truncateSync(path, 642 * mib);
  for (const { offset, size } of partitions.slice(0, 2)) {
    const options = ['-q', '-F', '-b', '4096', '-I', '256', '-J', 'size=8', '-E', `offset=${offset},nodiscard,lazy_itable_init=0,lazy_journal_init=0`];
    await execa('/sbin/mkfs.ext4', [...options, path, `${size / 1024}k`], { timeout: 60_000 });
  }
  const disk = openSync(path, 'r+');
  writeSync(disk, partitionTable(), 0, 512, 0);
  closeSync(disk);
}

/** Null before the first one is written. */
export function readMarker(path: string): Marker | null {
  const disk = openSync(path, 'r');
  const block = Buffer.alloc(4096);
  readSync(disk, block, 0, block.length, partitions[2].offset);
  closeSync(disk);
  const text = block.toString('latin1').replace(/[\0 ]+$/, '');
  return text === '' ? null : (JSON.parse(text) as Marker);
}

/** A PC's master boot record: four entries of 16 bytes at 446, type 0x83 at 4, first sector at 8, sectors at 12. */
function partitionTable(): Buffer {
  const table = Buffer.alloc(512);
  partitions.forEach(({ offset, size }, index) => {
    const entry = 446 + 16 * index;
    table[entry + 4] = 0x83;
    table.writeUInt32LE(offset / 512, entry + 8);
    table.writeUInt32LE(size / 512, entry + 12);
  });
  table.writeUInt16LE(0xaa55, 510);
  return table;
}
