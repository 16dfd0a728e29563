/** Finds the objects of a .tap by reading its markers only. */
import { tapLength, tapMarkLength, tapMarkers, tapObject, tapSize } from './tap.ts';
import type { TapFile } from './tap-file.ts';
import type { TapIndex } from './tap-index.ts';

/**
 * Adds to `index` every whole object from its end on. `clean`: the file ends where the last object ends, or at an
 * end-of-medium marker; `torn`: what follows the last whole object is not one, as after a crash in the middle of a write.
 */
export async function scanTap(file: TapFile, index: TapIndex): Promise<'clean' | 'torn'> {
  const size = await file.size();
  let ahead = 1;
  for (;;) {
    const offset = index.endOffset;
    if (offset + tapMarkLength > size) return offset === size ? 'clean' : 'torn';
    const marker = await readMarker(file, offset);
    switch (tapObject(marker)) {
      case 'end':
        return 'clean';
      case 'unknown':
        return 'torn';
      case 'gap':
        index.skip(tapMarkLength);
        break;
      case 'filemark':
        await scanFilemarks(file, index, size);
        break;
      case 'block':
      case 'bad-block': {
        const fit = Math.floor((size - offset) / tapSize(marker));
        if (fit === 0 || tapLength(marker) === 0) return 'torn';
        const wanted = Math.min(fit, ahead);
        const found = await scanBlocks(file, index, marker, wanted);
        if (found === 0) return 'torn';
        ahead = found === wanted ? Math.min(2 * ahead, maxAhead) : 1;
        break;
      }
    }
  }
}

/** Markers asked for at once where equal blocks follow each other; the thread pool works on four of them at a time. */
const maxAhead = 64;

const chunk = 4096;

async function readMarker(file: TapFile, offset: number): Promise<number> {
  const bytes = Buffer.allocUnsafe(tapMarkLength);
  await file.read([bytes], offset);
  return bytes.readUInt32LE(0);
}

/** Filemarks have no length, so that a whole chunk of them (a tail of zeros) costs one read. */
async function scanFilemarks(file: TapFile, index: TapIndex, size: number): Promise<void> {
  const bytes = Buffer.allocUnsafe(chunk);
  for (let room = 64; ; room = chunk) {
    const want = Math.min(room, size - index.endOffset);
    const read = await file.read([bytes.subarray(0, want)], index.endOffset);
    const whole = Math.floor(read / tapMarkLength);
    let marks = 0;
    while (marks < whole && bytes.readUInt32LE(marks * tapMarkLength) === tapMarkers.filemark) marks += 1;
    if (marks > 0) index.push(tapMarkers.filemark, marks);
    if (marks < whole || whole === 0) return;
  }
}

/**
 * Adds up to `count` blocks that all have `marker`, guessing where each ends. Resolves with how many there were: the
 * first is one only if its trailer is right, each further one if the marker before it is its own as well.
 */
async function scanBlocks(file: TapFile, index: TapIndex, marker: number, count: number): Promise<number> {
  const start = index.endOffset;
  const size = tapSize(marker);
  const bytes = Buffer.alloc(count * 2 * tapMarkLength, 0xff);
  const edges: Promise<number>[] = [];
  for (let each = 0; each < count; each += 1) {
    const edge = bytes.subarray(each * 2 * tapMarkLength, (each + 1) * 2 * tapMarkLength);
    edges.push(file.read([edge], start + (each + 1) * size - tapMarkLength));
  }
  await Promise.all(edges);
  let found = 0;
  while (found < count && bytes.readUInt32LE(found * 2 * tapMarkLength) === marker) {
    found += 1;
    if (bytes.readUInt32LE(found * 2 * tapMarkLength - tapMarkLength) !== marker) break;
  }
  if (found > 0) index.push(marker, found);
  return found;
}
