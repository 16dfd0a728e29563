/** The containers of a volume as the tape has them, for whoever has no catalogue: from filemark to filemark. */
import { firstContainerAddress } from './containers.ts';
import { tapeBlockSize } from './format.ts';
import type { BlockAddress, Medium } from './medium.ts';

export interface TapeFile {
  readonly start: BlockAddress;
  /** Filemark not counted. */
  readonly blocks: number;
  /** False: the data ends without a filemark, as after a crash while it was written. */
  readonly ended: boolean;
}

/** Tape files from the one that begins at `from` on, empty ones left out. Fails where the medium does; what was found before was yielded. */
export async function* tapeFiles(medium: Pick<Medium, 'position' | 'locate' | 'readBlock' | 'spaceFilemark'>, from: BlockAddress = firstContainerAddress): AsyncGenerator<TapeFile> {
  for (let start = from; ; ) {
    // The user of the file before moved the tape.
    if ((await medium.position()) !== start) await medium.locate(start);
    const next = await afterFilemark(medium);
    const end = next === null ? await medium.position() : next - 1;
    if (end > start) yield { start, blocks: end - start, ended: next !== null };
    if (next === null) return;
    start = next;
  }
}

async function afterFilemark(medium: Pick<Medium, 'position' | 'readBlock' | 'spaceFilemark'>): Promise<BlockAddress | null> {
  if (medium.spaceFilemark !== undefined) return medium.spaceFilemark();
  const block = Buffer.allocUnsafeSlow(tapeBlockSize);
  for (;;) {
    const found = await medium.readBlock(block);
    if (found === 'end') return null;
    if (found === 'filemark') return medium.position();
  }
}
