/** Archived versions and where their copies are. */
import type { Statement } from 'better-sqlite3';
import { blob, type Database, integer } from './database.ts';
import { joinPath, type Directories } from './directories.ts';
import type { ContainerState, CopyRow, ObjectRow } from './model.ts';
import { nameBytes, type StoredName } from './names.ts';

/** An object with one of its copies; the last three are null where it has none. */
type RawCopy = [
  n: bigint,
  id: Buffer,
  size: bigint,
  mtimeNs: bigint,
  sha256: Buffer,
  container: bigint | null,
  offset: bigint | null,
  length: bigint | null,
];

/** What a copy takes from its container and its volume. */
type Place = Omit<CopyRow, 'offset' | 'length'>;
type StoredPlace = Omit<Place, 'verified'> & { readonly verified: 0 | 1; readonly state: ContainerState };

/** Places that were looked up within one read transaction, in which they cannot change. */
export type Places = Map<bigint, Place | null>;

interface Placed {
  readonly object: number;
  readonly container: number;
  readonly offset: number;
}

export interface PlacedObject {
  readonly object: ObjectRow;
  readonly copy: CopyRow;
  /** Of the file whose present version it is; null where there is none. */
  readonly filesystem: number | null;
  readonly path: Buffer | null;
}

const select = `
  SELECT o.n, o.id, o.size, o.mtime_ns, o.sha256, p.container, p.offset, p.length
  FROM objects o LEFT JOIN copies p ON p.object = o.n`;

export class Objects {
  readonly #directories: Directories;
  readonly #byId: Statement<[Buffer], RawCopy>;
  readonly #byNumber: Statement<[number], RawCopy>;
  readonly #place: Statement<[bigint], StoredPlace>;
  readonly #containers: Statement<[string, number], { id: number; number: number }>;
  readonly #inContainer: Statement<[number, number, number], Placed>;
  readonly #fileOf: Statement<[number], { filesystem: number; directory: number; name: StoredName }>;

  constructor(db: Database, directories: Directories) {
    this.#directories = directories;
    this.#byId = db.prepare<[Buffer], RawCopy>(`${select} WHERE o.id = ${blob} ORDER BY p.container`).raw().safeIntegers();
    this.#byNumber = db.prepare<[number], RawCopy>(`${select} WHERE o.n = ${integer} ORDER BY p.container`).raw().safeIntegers();
    this.#place = db.prepare(
      `SELECT v.barcode AS volume, v.pool, v.state AS volumeState, c.number AS container, c.start_block AS startBlock, c.verified, c.state
       FROM containers c JOIN volumes v ON v.id = c.volume WHERE c.id = ${integer}`,
    );
    this.#containers = db.prepare(
      `SELECT c.id, c.number FROM volumes v JOIN containers c ON c.volume = v.id
       WHERE v.barcode = ? AND c.number >= ? AND c.state <> 'void' ORDER BY c.number`,
    );
    this.#inContainer = db.prepare('SELECT object, container, offset FROM copies WHERE container = ? AND offset > ? ORDER BY offset LIMIT ?');
    this.#fileOf = db.prepare(
      `SELECT f.filesystem, f.directory, f.name FROM objects o JOIN files f ON f.filesystem = o.filesystem AND f.ino = o.ino AND f.object = o.n
       WHERE o.n = ${integer}`,
    );
  }

  /** `places` may be shared by the calls of one read transaction. */
  get(id: Buffer, places: Places = new Map()): ObjectRow | undefined {
    return this.#row(this.#byId.all(id), places);
  }

  /** In tape order, after the given place; path null where the object is no file's present version. */
  onVolume(barcode: string, after: { readonly container: number; readonly offset: number } | null, limit: number): PlacedObject[] {
    const found: PlacedObject[] = [];
    const places: Places = new Map();
    for (const { id, number } of this.#containers.all(barcode, after?.container ?? 0)) {
      const from = after !== null && after.container === number ? after.offset : -1;
      for (const place of this.#inContainer.all(id, from, limit - found.length)) found.push(...this.#placed(barcode, number, place, places));
      if (found.length >= limit) break;
    }
    return found;
  }

  #placed(barcode: string, container: number, { object: n, offset }: Placed, places: Places): PlacedObject[] {
    const object = this.#row(this.#byNumber.all(n), places);
    if (object === undefined) return [];
    const file = this.#fileOf.get(n);
    const path = file === undefined ? null : joinPath(this.#directories.pathOf(file.directory), nameBytes(file.name));
    return object.copies
      .filter((copy) => copy.volume === barcode && copy.container === container && copy.offset === offset)
      .map((copy) => ({ object, copy, filesystem: file?.filesystem ?? null, path }));
  }

  #row(rows: readonly RawCopy[], places: Places): ObjectRow | undefined {
    const [first] = rows;
    if (first === undefined) return undefined;
    const [, id, size, mtimeNs, sha256] = first;
    const copies: CopyRow[] = [];
    for (const [, , , , , container, offset, length] of rows) {
      const place = container === null ? null : this.#placeOf(container, places);
      if (place !== null) copies.push({ ...place, offset: Number(offset), length: Number(length) });
    }
    return { id, size: Number(size), mtimeNs, sha256, copies };
  }

  /** Null for a void container, whose copies count for nothing. */
  #placeOf(container: bigint, places: Places): Place | null {
    const known = places.get(container);
    if (known !== undefined) return known;
    const stored = this.#place.get(container);
    const place = stored === undefined || stored.state === 'void' ? null : placeRow(stored);
    places.set(container, place);
    return place;
  }
}

const placeRow = ({ volume, pool, volumeState, container, startBlock, verified }: StoredPlace): Place => ({
  volume,
  pool,
  volumeState,
  container,
  startBlock,
  verified: verified === 1,
});
