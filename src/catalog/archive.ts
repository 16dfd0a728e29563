/** Takes in what was written to tape: objects, their copies, and the files that they are the present version of. */
import type { Statement } from 'better-sqlite3';
import { HsmError } from '../errors.ts';
import { type Counts, noteMove } from './counts.ts';
import type { Containers } from './containers.ts';
import type { Database } from './database.ts';
import type { Directories } from './directories.ts';
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

/** What a slice learns on its way from objects to copies to files. */
interface Slice {
  readonly members: ArchivedMembers;
  readonly from: number;
  /** Rows in the order of their object ids. */
  readonly order: readonly number[];
  /** Row i's object is numbers[i - from]. */
  readonly numbers: Float64Array;
  /** 1 where the object is new, so that nothing but this slice knows of it. */
  readonly fresh: Uint8Array;
  readonly usage: UsageChanges;
  readonly counts: Map<FileState, number>;
}

/** Rows that one statement takes in: half the time of as many statements. */
const groupRows = 32;

type Values = (number | bigint | StoredName)[];
type GroupStatement<Named> = Statement<[values: Values, named: Named]>;

type FileValues = [ctimeNs: bigint, handleHash: number, object: number, directory: number, name: StoredName, filesystem: number, ino: number];

export class Archive {
  readonly #directories: Directories;
  readonly #containers: Containers;
  readonly #counts: Counts;
  readonly #usage: Usage;
  readonly #old: OldVersions;
  readonly #nextNumber: Statement<[], number>;
  readonly #addObject: Statement<[number, Buffer, number, bigint, Buffer, number, number]>;
  readonly #addObjectGroup: GroupStatement<{ ids: Buffer; sha256: Buffer; filesystem: number }>;
  readonly #object: Statement<[Buffer], KnownObject>;
  readonly #own: Statement<[number, number, number]>;
  readonly #addCopy: Statement<[number, number, number, number]>;
  readonly #addCopyGroup: GroupStatement<{ container: number }>;
  readonly #addFile: Statement<FileValues>;
  readonly #addFileGroup: GroupStatement<{ filesystem: number }>;
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
    this.#addObject = db.prepare(
      'INSERT INTO objects (n, id, size, mtime_ns, sha256, filesystem, ino) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING',
    );
    this.#addObjectGroup = db.prepare(
      `INSERT INTO objects (n, id, size, mtime_ns, sha256, filesystem, ino)
       VALUES ${group((i) => `(?, substr(@ids, ${16 * i + 1}, 16), ?, ?, substr(@sha256, ${32 * i + 1}, 32), @filesystem, ?)`)} ON CONFLICT (id) DO NOTHING`,
    );
    this.#object = db.prepare('SELECT n, size, sha256, filesystem, ino FROM objects WHERE id = ?');
    this.#own = db.prepare('UPDATE objects SET filesystem = ?, ino = ? WHERE n = ?');
    this.#addCopy = db.prepare('INSERT INTO copies (object, container, offset, length) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');
    this.#addCopyGroup = db.prepare(`INSERT INTO copies (object, container, offset, length) VALUES ${group(() => '(?, @container, ?, ?)')} ON CONFLICT DO NOTHING`);
    const archived = fileStateCodes.archived;
    this.#addFile = db.prepare(
      `INSERT INTO files (state, ctime_ns, handle_hash, object, directory, name, filesystem, ino) VALUES (${archived}, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    );
    this.#addFileGroup = db.prepare(
      `INSERT INTO files (state, ctime_ns, handle_hash, object, directory, name, filesystem, ino)
       VALUES ${group(() => `(${archived}, ?, ?, ?, ?, ?, @filesystem, ?)`)} ON CONFLICT DO NOTHING`,
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
    const slice: Slice = {
      members,
      from,
      order: orderOfIds(members.objectIds, from, to),
      numbers: new Float64Array(to - from),
      fresh: new Uint8Array(to - from),
      usage: new Map(),
      counts: new Map(),
    };
    this.#addObjects(slice);
    this.#addCopies(slice, containers);
    this.#addFiles(slice);
    this.#usage.apply(slice.usage);
    this.#counts.apply(members.filesystem, slice.counts);
  }

  #addObjects(slice: Slice): void {
    const { members, from, order, numbers, fresh } = slice;
    let next = this.#nextNumber.get() ?? 1;
    for (const rows of groupsOf(order)) {
      if (rows.length === groupRows) {
        this.#addObjectsAtOnce(slice, rows, next);
        next += groupRows;
        continue;
      }
      for (const i of rows) {
        const id = idAt(members, i);
        const sha256 = members.sha256.subarray(i * 32, i * 32 + 32);
        const size = at(members.size, i);
        const { changes } = this.#addObject.run(next, id, size, bigAt(members.mtimeNs, i), sha256, members.filesystem, at(members.ino, i));
        fresh[i - from] = changes;
        numbers[i - from] = changes === 1 ? next : this.#sameObject(id, size, sha256);
        next += changes;
      }
    }
  }

  /** Numbers from `first` on; those of objects that are here already stay unused. */
  #addObjectsAtOnce({ members, from, numbers, fresh }: Slice, rows: readonly number[], first: number): void {
    const ids = Buffer.allocUnsafe(groupRows * 16);
    const sha256 = Buffer.allocUnsafe(groupRows * 32);
    const values: Values = [];
    for (const [place, i] of rows.entries()) {
      members.objectIds.copy(ids, place * 16, i * 16, i * 16 + 16);
      members.sha256.copy(sha256, place * 32, i * 32, i * 32 + 32);
      values.push(first + place, at(members.size, i), bigAt(members.mtimeNs, i), at(members.ino, i));
      numbers[i - from] = first + place;
      fresh[i - from] = 1;
    }
    const { changes } = this.#addObjectGroup.run(values, { ids, sha256, filesystem: members.filesystem });
    if (changes === groupRows) return;
    for (const i of rows) {
      const known = this.#sameObject(idAt(members, i), at(members.size, i), members.sha256.subarray(i * 32, i * 32 + 32));
      fresh[i - from] = known === numbers[i - from] ? 1 : 0;
      numbers[i - from] = known;
    }
  }

  #sameObject(id: Buffer, size: number, sha256: Buffer): number {
    const known = this.#object.get(id);
    if (known !== undefined && known.size === size && known.sha256.equals(sha256)) return known.n;
    throw new HsmError('BAD_OBJECT', `object ${id.toString('hex')} is in the catalogue with other content`);
  }

  #addCopies(slice: Slice, containers: readonly number[]): void {
    const { members, from, order, numbers, usage } = slice;
    for (const container of containers) {
      for (const rows of groupsOf(order)) {
        if (isFreshGroup(slice, rows)) {
          const values: Values = [];
          let live = 0;
          for (const i of rows) {
            values.push(at(numbers, i - from), at(members.offset, i), at(members.length, i));
            live += at(members.length, i);
          }
          const { changes } = this.#addCopyGroup.run(values, { container });
          // None when the container is named twice.
          if (changes === groupRows) note(usage, container, live, groupRows);
        } else {
          for (const i of rows) this.#addOneCopy(slice, i, container);
        }
      }
    }
  }

  #addOneCopy({ members, from, numbers, fresh, usage }: Slice, i: number, container: number): void {
    const object = at(numbers, i - from);
    const length = at(members.length, i);
    const { changes } = this.#addCopy.run(object, container, at(members.offset, i), length);
    if (changes === 0) return;
    // A fresh object's file is about to need it; for the others #addFiles knows.
    const isLive = fresh[i - from] === 1 || this.#isNeeded(object, members, i);
    note(usage, container, isLive ? length : 0, 1);
  }

  #isNeeded(object: number, members: ArchivedMembers, i: number): boolean {
    const present = this.#present.get(members.filesystem, at(members.ino, i));
    return present !== undefined && present.object === object && needsObject(fileState(present.state));
  }

  #addFiles(slice: Slice): void {
    const { members, from, numbers } = slice;
    const name = namesIn(members.names, members.nameEnd);
    const directoryIds = new Map<number, number>();
    const valuesOf = (i: number): FileValues => {
      const dir = at(members.dir, i);
      const directory = directoryIds.get(dir) ?? this.#directories.idOf(members.filesystem, members.dirs[dir] ?? Buffer.alloc(0));
      directoryIds.set(dir, directory);
      return [bigAt(members.ctimeNs, i), at(members.handleHash, i) | 0, at(numbers, i - from), directory, name(i), members.filesystem, at(members.ino, i)];
    };
    for (const rows of groupsOf(slice.order.toSorted((a, b) => at(members.ino, a) - at(members.ino, b)))) {
      if (isFreshGroup(slice, rows)) this.#addFilesAtOnce(slice, rows, rows.map(valuesOf));
      else for (const i of rows) this.#addOneFile(slice, i, valuesOf(i));
    }
  }

  #addFilesAtOnce(slice: Slice, rows: readonly number[], values: readonly FileValues[]): void {
    const { filesystem } = slice.members;
    const all: Values = [];
    for (const [ctimeNs, handleHash, object, directory, name, , ino] of values) all.push(ctimeNs, handleHash, object, directory, name, ino);
    const { changes } = this.#addFileGroup.run(all, { filesystem });
    for (const [place, i] of rows.entries()) {
      const [, , object, , , , ino] = values[place]!;
      // A new object's number in the row tells that this is the row that was added just now.
      if (changes === groupRows || this.#present.get(filesystem, ino)?.object === object) noteMove(slice.counts, null, 'archived');
      else this.#meetFile(slice, i, values[place]!);
    }
  }

  #addOneFile(slice: Slice, i: number, values: FileValues): void {
    const { from, numbers } = slice;
    const isFresh = slice.fresh[i - from] === 1;
    if (!isFresh) this.#takeObject(slice, i);
    const { changes } = this.#addFile.run(...values);
    if (changes === 0) return this.#meetFile(slice, i, values);
    if (!isFresh) this.#usage.turn(slice.usage, at(numbers, i - from), 1);
    noteMove(slice.counts, null, 'archived');
  }

  /** An object that was here already becomes the present version of row i's file, unless another file's row names it still. */
  #takeObject({ members, from, numbers }: Slice, i: number): void {
    const id = idAt(members, i);
    const n = at(numbers, i - from);
    const ino = at(members.ino, i);
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
  #meetFile(slice: Slice, i: number, values: FileValues): void {
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
    if (slice.fresh[i - slice.from] === 0) this.#usage.turn(slice.usage, object, 1);
    noteMove(slice.counts, from, to);
  }
}

/** Row numbers by ascending id, so that the unique index grows at its end. Fails for an id that is there twice. */
function orderOfIds(ids: Buffer, from: number, to: number): readonly number[] {
  const compare = (a: number, b: number): number => ids.compare(ids, b * 16, b * 16 + 16, a * 16, a * 16 + 16);
  const order = Array.from({ length: to - from }, (_, i) => from + i);
  if (!order.every((row) => row === from || compare(row - 1, row) < 0)) order.sort(compare);
  const twice = order.findIndex((row, i) => i > 0 && compare(order[i - 1] ?? 0, row) === 0);
  if (twice >= 0) throw new HsmError('BAD_OBJECT', `one object id was given to two files`);
  return order;
}

/** The SQL of a group's rows. */
const group = (row: (i: number) => string): string => Array.from({ length: groupRows }, (_, i) => row(i)).join(', ');

function groupsOf(rows: readonly number[]): number[][] {
  const groups: number[][] = [];
  for (let from = 0; from < rows.length; from += groupRows) groups.push(rows.slice(from, from + groupRows));
  return groups;
}

const isFreshGroup = ({ fresh, from }: Slice, rows: readonly number[]): boolean => rows.length === groupRows && rows.every((i) => fresh[i - from] === 1);

const idAt = (members: ArchivedMembers, i: number): Buffer => members.objectIds.subarray(i * 16, i * 16 + 16);

const at = (column: Float64Array | Uint32Array, i: number): number => column[i] ?? 0;

const bigAt = (column: BigInt64Array, i: number): bigint => column[i] ?? 0n;
