/** Files that wait for a container: in the order of the scan, those that came back first, large ones apart. */
import { FileList, weightOf, type FileColumns } from './file-list.ts';

export interface FoundFiles {
  readonly files: FileColumns;
  /** Rows that are to be archived, ascending. */
  readonly rows: Uint32Array;
}

interface Chunk extends FoundFiles {
  at: number;
}

/** Inodes with several names that are remembered, so that a later name in another container is not archived again. */
const rememberedLinks = 500_000;

export class FileQueue {
  readonly #source: AsyncIterator<FoundFiles>;
  readonly #largeFrom: number;
  readonly #small: Chunk[] = [];
  readonly #large: Chunk[] = [];
  /** The container in which an inode with several names was last put. */
  readonly #links = new Map<number, number>();
  #container = 0;
  #ended = false;

  /** Files of `largeFrom` bytes and more get a container of their own. */
  constructor(source: AsyncIterator<FoundFiles>, largeFrom: number) {
    this.#source = source;
    this.#largeFrom = largeFrom;
  }

  /** What the next container is for; null when nothing is left. Scans on until something is found. */
  async peek(): Promise<'small' | 'large' | null> {
    for (;;) {
      if (this.#large.length > 0) return 'large';
      if (this.#small.length > 0) return 'small';
      if (!(await this.#fetch())) return null;
    }
  }

  /** Tells a container's files from the next one's. */
  nextContainer(): void {
    this.#container += 1;
    if (this.#links.size <= rememberedLinks) return;
    for (const [ino, container] of this.#links) if (container < this.#container - 4) this.#links.delete(ino);
  }

  /** The first large file; null when it turned out to be a further name of one that is archived. */
  takeLarge(): FileList | null {
    return this.#take(this.#large, Infinity, 1);
  }

  /** Small files for about `bytes` more, at most `count`; null when none is left or the first one does not fit. */
  async takeSmall(bytes: number, count: number): Promise<FileList | null> {
    while (this.#small.length === 0) if (!(await this.#fetch())) return null;
    return this.#take(this.#small, bytes, count);
  }

  /** Files whose container came to nothing. They go first. */
  putBack(files: FileColumns, rows: Uint32Array): void {
    for (const row of rows) this.#links.delete(files.ino[row]!);
    this.#split({ files, rows }, 'front');
  }

  #take(chunks: Chunk[], room: number, count: number): FileList | null {
    const chunk = chunks[0];
    if (chunk === undefined) return null;
    const { files, rows, at } = chunk;
    const kept = new Uint32Array(Math.min(count, rows.length - at));
    let taken = 0;
    let left = room;
    let next = at;
    for (; next < rows.length && taken < count; next += 1) {
      const row = rows[next]!;
      const weight = weightOf(files, row);
      if (weight > left) break;
      if (files.nlink[row]! > 1 && this.#isFurtherName(files.ino[row]!)) continue;
      left -= weight;
      kept[taken++] = row;
    }
    chunk.at = next;
    if (next === rows.length) chunks.shift();
    return taken === 0 ? null : new FileList(files, kept, 0, taken);
  }

  #isFurtherName(ino: number): boolean {
    const known = this.#links.get(ino);
    if (known !== undefined && known !== this.#container) return true;
    this.#links.set(ino, this.#container);
    return false;
  }

  async #fetch(): Promise<boolean> {
    if (this.#ended) return false;
    const next = await this.#source.next();
    if (next.done === true) {
      this.#ended = true;
      return false;
    }
    this.#split(next.value, 'back');
    return true;
  }

  #split({ files, rows }: FoundFiles, end: 'front' | 'back'): void {
    const isLarge = (row: number): boolean => weightOf(files, row) >= this.#largeFrom;
    const large = rows.filter(isLarge);
    const small = large.length === 0 ? rows : rows.filter((row) => !isLarge(row));
    for (const [chunks, part] of [
      [this.#small, small],
      [this.#large, large],
    ] as const) {
      if (part.length === 0) continue;
      if (end === 'front') chunks.unshift({ files, rows: part, at: 0 });
      else chunks.push({ files, rows: part, at: 0 });
    }
  }
}
