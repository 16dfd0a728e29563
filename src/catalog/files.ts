/** Files that the catalogue knows: their rows, and every move of their states but the one that archiving itself makes. */
import type { Statement } from 'better-sqlite3';
import { HsmError } from '../errors.ts';
import { type Counts, noteMove } from './counts.ts';
import { blob, type Database, integer } from './database.ts';
import { joinPath, type Directories } from './directories.ts';
import { fileMoves, type FileName, type FileRow, type FileState, type NewFileState } from './model.ts';
import { nameBytes, storedName, type StoredName } from './names.ts';
import type { OldVersions } from './old-versions.ts';
import { fileState, fileStateCodes, move, needsObject } from './states.ts';
import type { Usage, UsageChanges } from './usage.ts';

type RawFile = [
  ino: bigint,
  state: bigint,
  size: bigint,
  mtimeNs: bigint,
  ctimeNs: bigint,
  handleHash: bigint,
  object: Buffer,
  directory: bigint,
  name: StoredName,
];

interface Present {
  readonly state: number;
  readonly object: number;
  readonly directory: number;
  readonly name: StoredName;
}

const select = `
  SELECT f.ino, f.state, o.size, o.mtime_ns, f.ctime_ns, f.handle_hash, o.id, f.directory, f.name
  FROM files f CROSS JOIN objects o ON o.n = f.object`;

const slash = 0x2f;

/** Rows looked at in one go where a state has no index. */
const scanRows = 20_000;

export class Files {
  readonly #directories: Directories;
  readonly #counts: Counts;
  readonly #usage: Usage;
  readonly #old: OldVersions;
  readonly #byInode: Statement<[number, number], RawFile>;
  readonly #nextInode: Statement<[number, number], number>;
  readonly #place: Statement<[number, number], { directory: number; name: StoredName }>;
  readonly #present: Statement<[number, number], Present>;
  readonly #stateOf: Statement<[number, number], [state: number, object: number]>;
  readonly #moving: Statement<[number, number, number], RawFile>;
  readonly #stretch: Statement<[number, number, number, number, number], RawFile>;
  readonly #stretchEnd: Statement<[number, number, number], number>;
  readonly #move: Statement<[number, bigint | null, number, number]>;
  readonly #drop: Statement<[number, number]>;
  readonly #behind: Statement<[number, number, number], RawFile>;
  readonly #rename: Statement<[number, StoredName, number, number]>;
  readonly #owner: Statement<[Buffer], { filesystem: number; ino: number }>;

  constructor(db: Database, parts: { directories: Directories; counts: Counts; usage: Usage; old: OldVersions }) {
    this.#directories = parts.directories;
    this.#counts = parts.counts;
    this.#usage = parts.usage;
    this.#old = parts.old;
    this.#byInode = db.prepare<[number, number], RawFile>(`${select} WHERE f.filesystem = ${integer} AND f.ino = ${integer}`).raw().safeIntegers();
    this.#nextInode = db.prepare<[number, number], number>('SELECT ino FROM files WHERE filesystem = ? AND ino > ? ORDER BY ino LIMIT 1').pluck();
    this.#place = db.prepare('SELECT directory, name FROM files WHERE filesystem = ? AND ino = ?');
    this.#present = db.prepare('SELECT state, object, directory, name FROM files WHERE filesystem = ? AND ino = ?');
    this.#stateOf = db.prepare<[number, number], [state: number, object: number]>('SELECT state, object FROM files WHERE filesystem = ? AND ino = ?').raw();
    this.#moving = db
      .prepare<[number, number, number], RawFile>(`${select} WHERE f.filesystem = ? AND f.state = ? AND f.state IN (3, 4) ORDER BY f.ino LIMIT ?`)
      .raw()
      .safeIntegers();
    this.#stretch = db
      .prepare<[number, number, number, number, number], RawFile>(
        `${select} WHERE f.filesystem = ? AND f.ino > ? AND f.ino <= ? AND f.state = ? ORDER BY f.ino LIMIT ?`,
      )
      .raw()
      .safeIntegers();
    this.#stretchEnd = db
      .prepare<[number, number, number], number>('SELECT ino FROM files WHERE filesystem = ? AND ino > ? ORDER BY ino LIMIT 1 OFFSET ?')
      .pluck();
    this.#move = db.prepare('UPDATE files SET state = ?, ctime_ns = coalesce(?, ctime_ns) WHERE filesystem = ? AND ino = ?');
    this.#drop = db.prepare('DELETE FROM files WHERE filesystem = ? AND ino = ?');
    this.#behind = db
      .prepare<[number, number, number], RawFile>(`${select} WHERE f.filesystem = ? AND f.ino > ? ORDER BY f.ino LIMIT ?`)
      .raw()
      .safeIntegers();
    this.#rename = db.prepare('UPDATE files SET directory = ?, name = ? WHERE filesystem = ? AND ino = ?');
    this.#owner = db.prepare(
      `SELECT f.filesystem, f.ino FROM objects o JOIN files f ON f.filesystem = o.filesystem AND f.ino = o.ino AND f.object = o.n WHERE o.id = ${blob}`,
    );
  }

  get(filesystem: number, ino: number): FileRow | undefined {
    const raw = this.#byInode.get(filesystem, ino);
    return raw === undefined ? undefined : fileRow(filesystem, raw);
  }

  /** In the order of `inos`. Where a stretch of inodes is not known, as before a first archive run, that is found out once, not for each. */
  getMany(filesystem: number, inos: readonly number[]): (FileRow | undefined)[] {
    let after = 0;
    let before = 0;
    return inos.map((ino) => {
      if (ino > after && ino < before) return undefined;
      const file = this.get(filesystem, ino);
      if (file === undefined) {
        after = ino;
        before = this.#nextInode.get(filesystem, ino) ?? Infinity;
      }
      return file;
    });
  }

  pathOf(filesystem: number, ino: number): Buffer | undefined {
    const place = this.#place.get(filesystem, ino);
    return place === undefined ? undefined : joinPath(this.#directories.pathOf(place.directory), nameBytes(place.name));
  }

  /**
   * Files in a state, by inode, in pages that are empty where none is. Files on the move have an index; for the other states this looks
   * at the rows one stretch after the other, and no further than the counts say there are any.
   */
  *inState(filesystem: number, state: FileState, limit: number): Generator<FileRow[]> {
    let wanted = Math.min(limit, this.#counts.of(filesystem)[state]);
    if (state === 'archiving' || state === 'recalling') {
      yield this.#moving.all(filesystem, fileStateCodes[state], wanted).map((raw) => fileRow(filesystem, raw));
      return;
    }
    for (let after = -1; wanted > 0 && after < Number.MAX_SAFE_INTEGER; ) {
      const end = this.#stretchEnd.get(filesystem, after, scanRows) ?? Number.MAX_SAFE_INTEGER;
      const found = this.#stretch.all(filesystem, after, end, fileStateCodes[state], wanted);
      wanted -= found.length;
      after = end;
      yield found.map((raw) => fileRow(filesystem, raw));
    }
  }

  /** One transaction's worth of moves, all or none. */
  move(filesystem: number, moves: readonly NewFileState[]): void {
    const counts = new Map<FileState, number>();
    const usage: UsageChanges = new Map();
    for (const { ino, to, ctimeNs } of moves) {
      const present = this.#stateOf.get(filesystem, ino);
      if (present === undefined) throw new HsmError('BAD_MOVE', `inode ${ino} of filesystem ${filesystem} is not in the catalogue and cannot become ${to}`);
      const [state, object] = present;
      const from = fileState(state);
      move(fileMoves, from, to, `inode ${ino} of filesystem ${filesystem}`);
      this.#move.run(fileStateCodes[to], ctimeNs ?? null, filesystem, ino);
      if (needsObject(from) !== needsObject(to)) this.#usage.turn(usage, object, needsObject(to) ? 1 : -1);
      noteMove(counts, from, to);
    }
    this.#usage.apply(usage);
    this.#counts.apply(filesystem, counts);
  }

  /** By inode. */
  behind(filesystem: number, ino: number, limit: number): FileRow[] {
    return this.#behind.all(filesystem, ino, limit).map((raw) => fileRow(filesystem, raw));
  }

  /** Names under which files are found now. Inodes that are not known are passed over. */
  rename(filesystem: number, files: readonly FileName[]): void {
    for (const { ino, path } of files) {
      const cut = path.lastIndexOf(slash);
      this.#rename.run(this.#directories.idOf(filesystem, path.subarray(0, Math.max(cut, 0))), storedName(path.subarray(cut + 1)), filesystem, ino);
    }
  }

  /** The file whose present version the object is. */
  ownerOf(object: Buffer): { filesystem: number; ino: number } | undefined {
    return this.#owner.get(object);
  }

  /** The objects stay, as old versions. Inodes that are not known are passed over. */
  drop(filesystem: number, inos: readonly number[]): void {
    const counts = new Map<FileState, number>();
    const usage: UsageChanges = new Map();
    for (const ino of inos) {
      const present = this.#present.get(filesystem, ino);
      if (present === undefined) continue;
      const from = fileState(present.state);
      this.#drop.run(filesystem, ino);
      if (needsObject(from)) this.#usage.turn(usage, present.object, -1);
      this.#old.add(present);
      noteMove(counts, from, null);
    }
    this.#usage.apply(usage);
    this.#counts.apply(filesystem, counts);
  }
}

const fileRow = (filesystem: number, [ino, state, size, mtimeNs, ctimeNs, handleHash, object, directory, name]: RawFile): FileRow => ({
  filesystem,
  ino: Number(ino),
  state: fileState(Number(state)),
  size: Number(size),
  mtimeNs,
  ctimeNs,
  handleHash: Number(handleHash) >>> 0,
  object,
  directory: Number(directory),
  name: nameBytes(name),
});
