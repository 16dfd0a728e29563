/** Takes in what was written to tape: objects, their copies, and the files that they are the present version of. */
import type { Statement } from 'better-sqlite3';
import { HsmError } from '../errors.ts';
import { type Counts, noteMove } from './counts.ts';
import type { Containers } from './containers.ts';
import type { Database } from './database.ts';
import type { Directories } from './directories.ts';
import { memberRows, rowsOf, type MemberStatement, type MemberValues } from './member-rows.ts';
import { fileMoves, type ArchivedMembers, type FileState } from './model.ts';
import { namesIn, type StoredName } from './names.ts';
import type { OldVersions } from './old-versions.ts';
import { fileState, fileStateCodes, move, needsObject } from './states.ts';
import { note, type Usage, type UsageChanges } from './usage.ts';

interface Present {
  readonly state: number;
  readonly object: number;
  readonly directory: number;
  readonly name: StoredName;
}

interface KnownObject {
  readonly n: number;
  readonly size: number;
  readonly sha256: Buffer;
  readonly filesystem: number;
  readonly ino: number;
}

/** What a slice learns on its way from objects to copies to files. Rows count from the slice's first. */
interface Slice {
  readonly members: ArchivedMembers;
  /** Rows by ascending object id. */
  readonly order: Uint32Array;
  /** Of each row. */
  readonly objects: Float64Array;
  readonly directories: Float64Array;
  /** All objects are new, so that nothing but this slice knows of them. */
  allFresh: boolean;
  /** 1 where the object is new. */
  readonly fresh: Uint8Array;
  readonly values: MemberValues;
  readonly usage: UsageChanges;
  readonly counts: Map<FileState, number>;
}

type FileValues = [ctimeNs: bigint, handleHash: number, object: number, directory: number, name: StoredName, filesystem: number, ino: number];

export class Archive {
  readonly #directories: Directories;
  readonly #containers: Containers;
  readonly #counts: Counts;
  readonly #usage: Usage;
  readonly #old: OldVersions;
  readonly #nextNumber: Statement<[], number>;
  readonly #addObjects: MemberStatement;
  readonly #object: Statement<[Buffer], KnownObject>;
  readonly #own: Statement<[number, number, number]>;
  readonly #addCopies: MemberStatement;
  readonly #addCopy: Statement<[number, number, number, number]>;
  readonly #addFiles: MemberStatement;
  readonly #addFile: Statement<FileValues>;
  readonly #replaceFile: Statement<FileValues>;
  readonly #present: Statement<[number, number], Present>;
  readonly #setState: Statement<[number, bigint, number, number]>;

  constructor(db: Database, parts: { directories: Directories; containers: Containers; counts: Counts; usage: Usage; old: OldVersions }) {
    this.#directories = parts.directories;
    this.#containers = parts.containers;
    this.#counts = parts.counts;
    this.#usage = parts.usage;
    this.#old = parts.old;
    this.#nextNumber = db.prepare<[], number>('SELECT 1 + coalesce(max(n), 0) FROM objects').pluck();
    this.#addObjects = db.prepare(
      `INSERT INTO objects (n, id, size, mtime_ns, sha256, filesystem, ino)
       SELECT object, id, size, mtime_ns, sha256, @filesystem, ino FROM ${memberRows('object', 'id', 'size', 'mtime_ns', 'sha256', 'ino')}
       WHERE true ON CONFLICT (id) DO NOTHING`,
    );
    this.#object = db.prepare('SELECT n, size, sha256, filesystem, ino FROM objects WHERE id = ?');
    this.#own = db.prepare('UPDATE objects SET filesystem = ?, ino = ? WHERE n = ?');
    this.#addCopy = db.prepare('INSERT INTO copies (object, container, offset, length) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');
    this.#addCopies = db.prepare(
      `INSERT INTO copies (object, container, offset, length)
       SELECT object, @container, offset, length FROM ${memberRows('object', 'offset', 'length')} WHERE true ON CONFLICT DO NOTHING`,
    );
    const archived = fileStateCodes.archived;
    this.#addFile = db.prepare(
      `INSERT INTO files (state, ctime_ns, handle_hash, object, directory, name, filesystem, ino) VALUES (${archived}, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    );
    this.#addFiles = db.prepare(
      `INSERT INTO files (state, ctime_ns, handle_hash, object, directory, name, filesystem, ino)
       SELECT ${archived}, ctime_ns, handle_hash, object, directory, name, @filesystem, ino
       FROM ${memberRows('ctime_ns', 'handle_hash', 'object', 'directory', 'name', 'ino')} WHERE true ON CONFLICT DO NOTHING`,
    );
    this.#replaceFile = db.prepare(
      `UPDATE files SET state = ${archived}, ctime_ns = ?, handle_hash = ?, object = ?, directory = ?, name = ? WHERE filesystem = ? AND ino = ?`,
    );
    this.#present = db.prepare('SELECT state, object, directory, name FROM files WHERE filesystem = ? AND ino = ?');
    this.#setState = db.prepare('UPDATE files SET state = ?, ctime_ns = ? WHERE filesystem = ? AND ino = ?');
  }

  /**
   * Rows [from, to) of `members`, within a transaction. Doing it again changes nothing: a file whose present version is already this object
   * keeps its state. `BAD_OBJECT`: an id that stands for other content, or for another file that is still here.
   */
  add(containers: readonly number[], members: ArchivedMembers, from: number, to: number): void {
    for (const container of containers) this.#containers.needReadable(container);
    const slice = this.#sliceOf(rowsOf(members, from, to));
    this.#addAllObjects(slice);
    for (const container of containers) this.#addAllCopies(slice, container);
    this.#addAllFiles(slice);
    this.#usage.apply(slice.usage);
    this.#counts.apply(members.filesystem, slice.counts);
  }

  #sliceOf(members: ArchivedMembers): Slice {
    const objects = new Float64Array(members.count);
    const order = orderOfIds(members.objectIds, members.count);
    const directories = this.#directoriesOf(members);
    const values = {
      filesystem: members.filesystem,
      order: bytesOf(order),
      objects: bytesOf(objects),
      ids: members.objectIds,
      sha256: members.sha256,
      inos: bytesOf(members.ino),
      sizes: bytesOf(members.size),
      mtimes: bytesOf(members.mtimeNs),
      ctimes: bytesOf(members.ctimeNs),
      handles: bytesOf(members.handleHash),
      offsets: bytesOf(members.offset),
      lengths: bytesOf(members.length),
      directories: bytesOf(directories),
      names: members.names,
      nameEnds: bytesOf(members.nameEnd),
    };
    return { members, order, objects, directories, allFresh: true, fresh: new Uint8Array(members.count).fill(1), values, usage: new Map(), counts: new Map() };
  }

  #directoriesOf({ filesystem, count, dirs, dir }: ArchivedMembers): Float64Array {
    const numbers = new Map<number, number>();
    const directories = new Float64Array(count);
    for (let row = 0; row < count; row += 1) {
      const index = at(dir, row);
      const number = numbers.get(index) ?? this.#directories.idOf(filesystem, dirs[index] ?? Buffer.alloc(0));
      numbers.set(index, number);
      directories[row] = number;
    }
    return directories;
  }

  /** Numbers that were meant for objects that are here already stay unused. */
  #addAllObjects(slice: Slice): void {
    const { members, order, objects, fresh } = slice;
    const first = this.#nextNumber.get() ?? 1;
    for (const [place, row] of order.entries()) objects[row] = first + place;
    const { changes } = this.#addObjects.run(slice.values);
    if (changes === members.count) return;
    slice.allFresh = false;
    for (const row of order) {
      const known = this.#sameObject(idAt(members, row), at(members.size, row), members.sha256.subarray(row * 32, row * 32 + 32));
      fresh[row] = known === objects[row] ? 1 : 0;
      objects[row] = known;
    }
  }

  #sameObject(id: Buffer, size: number, sha256: Buffer): number {
    const known = this.#object.get(id);
    if (known !== undefined && known.size === size && known.sha256.equals(sha256)) return known.n;
    throw new HsmError('BAD_OBJECT', `object ${id.toString('hex')} is in the catalogue with other content`);
  }

  #addAllCopies(slice: Slice, container: number): void {
    const { members, order, usage, values } = slice;
    if (!slice.allFresh) {
      for (const row of order) this.#addOneCopy(slice, row, container);
      return;
    }
    const { changes } = this.#addCopies.run({ ...values, container });
    // None when the container is named twice.
    if (changes === 0) return;
    let live = 0;
    for (const length of members.length) live += length;
    note(usage, container, live, members.count);
  }

  #addOneCopy({ members, objects, fresh, usage }: Slice, row: number, container: number): void {
    const object = at(objects, row);
    const length = at(members.length, row);
    const { changes } = this.#addCopy.run(object, container, at(members.offset, row), length);
    if (changes === 0) return;
    // A fresh object's file is about to need it; for the others #addAllFiles knows.
    const isLive = fresh[row] === 1 || this.#isNeeded(object, members, row);
    note(usage, container, isLive ? length : 0, 1);
  }

  #isNeeded(object: number, members: ArchivedMembers, row: number): boolean {
    const present = this.#present.get(members.filesystem, at(members.ino, row));
    return present !== undefined && present.object === object && needsObject(fileState(present.state));
  }

  #addAllFiles(slice: Slice): void {
    const { members, objects, values } = slice;
    const order = orderOfInodes(slice);
    const valuesOf = this.#fileValues(slice);
    if (!slice.allFresh) {
      for (const row of order) this.#addOneFile(slice, row, valuesOf(row));
      return;
    }
    const { changes } = this.#addFiles.run({ ...values, order: bytesOf(order) });
    if (changes === members.count) return noteMove(slice.counts, null, 'archived', changes);
    for (const row of order) {
      // A new object's number in the row tells that this is the row that was added just now.
      if (this.#present.get(members.filesystem, at(members.ino, row))?.object === objects[row]) noteMove(slice.counts, null, 'archived');
      else this.#meetFile(slice, row, valuesOf(row));
    }
  }

  #fileValues({ members, objects, directories }: Slice): (row: number) => FileValues {
    const { filesystem, ctimeNs, handleHash, ino } = members;
    const name = namesIn(members.names, members.nameEnd);
    return (row) => [bigAt(ctimeNs, row), at(handleHash, row) | 0, at(objects, row), at(directories, row), name(row), filesystem, at(ino, row)];
  }

  #addOneFile(slice: Slice, row: number, values: FileValues): void {
    const isFresh = slice.fresh[row] === 1;
    if (!isFresh) this.#takeObject(slice, row);
    const { changes } = this.#addFile.run(...values);
    if (changes === 0) return this.#meetFile(slice, row, values);
    if (!isFresh) this.#usage.turn(slice.usage, at(slice.objects, row), 1);
    noteMove(slice.counts, null, 'archived');
  }

  /** An object that was here already becomes the present version of the row's file, unless another file's row names it still. */
  #takeObject({ members, objects }: Slice, row: number): void {
    const id = idAt(members, row);
    const n = at(objects, row);
    const ino = at(members.ino, row);
    const known = this.#object.get(id);
    if (known === undefined) throw new HsmError('BAD_OBJECT', `object ${id.toString('hex')} has gone`);
    if (known.filesystem !== members.filesystem || known.ino !== ino) {
      if (this.#present.get(known.filesystem, known.ino)?.object === n) {
        throw new HsmError('BAD_OBJECT', `object ${id.toString('hex')} belongs to inode ${known.ino} of filesystem ${known.filesystem}, not to inode ${ino}`);
      }
      this.#own.run(members.filesystem, ino, n);
    }
    this.#old.remove(n);
  }

  /** The file has a row: with this object, so that this is a repetition or a second copy, or with an older one. */
  #meetFile(slice: Slice, row: number, values: FileValues): void {
    const [ctimeNs, , object, , , filesystem, ino] = values;
    const present = this.#present.get(filesystem, ino);
    if (present === undefined) throw new HsmError('BAD_OBJECT', `inode ${ino} of filesystem ${filesystem} has gone`);
    const from = fileState(present.state);
    if (present.object === object && needsObject(from)) return;
    const to = move(fileMoves, from, 'archived', `inode ${ino} of filesystem ${filesystem}`);
    if (present.object === object) {
      this.#setState.run(fileStateCodes[to], ctimeNs, filesystem, ino);
    } else {
      if (needsObject(from)) this.#usage.turn(slice.usage, present.object, -1);
      this.#old.add(present);
      this.#replaceFile.run(...values);
    }
    if (slice.fresh[row] === 0) this.#usage.turn(slice.usage, object, 1);
    noteMove(slice.counts, from, to);
  }
}

/** Rows by ascending id, so that the unique index grows at its end. Fails for an id that is there twice. */
function orderOfIds(ids: Buffer, count: number): Uint32Array {
  const compare = (a: number, b: number): number => ids.compare(ids, b * 16, b * 16 + 16, a * 16, a * 16 + 16);
  const order = ordered(count, compare);
  for (let i = 1; i < count; i += 1) {
    if (compare(at(order, i - 1), at(order, i)) === 0) throw new HsmError('BAD_OBJECT', `one object id was given to two files`);
  }
  return order;
}

/** Rows as the files' own order has them; one inode's rows by their objects' ids. */
function orderOfInodes({ members: { ino, count }, objects }: Slice): Uint32Array {
  return ordered(count, (a, b) => at(ino, a) - at(ino, b) || at(objects, a) - at(objects, b));
}

function ordered(count: number, compare: (a: number, b: number) => number): Uint32Array {
  const rows = Uint32Array.from({ length: count }, (_, row) => row);
  return rows.every((row) => row === 0 || compare(row - 1, row) <= 0) ? rows : rows.sort(compare);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView): Buffer => Buffer.from(buffer, byteOffset, byteLength);

const idAt = (members: ArchivedMembers, row: number): Buffer => members.objectIds.subarray(row * 16, row * 16 + 16);

const at = (column: Float64Array | Uint32Array, i: number): number => column[i] ?? 0;

const bigAt = (column: BigInt64Array, i: number): bigint => column[i] ?? 0n;
