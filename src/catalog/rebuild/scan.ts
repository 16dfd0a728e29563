/** What a filesystem holds, against what the tapes said: its stubs count more than any dump. */
import type { Statement } from 'better-sqlite3';
import type { Database } from '../database.ts';
import type { Directories } from '../directories.ts';
import { storedName, type StoredName } from '../names.ts';
import { fileStateCodes } from '../states.ts';
import { superseded } from '../superseded.ts';
import type { Versions } from './versions.ts';

/** A file whose record is its own. */
export interface SeenStub {
  readonly ino: number;
  readonly handleHash: number;
  readonly size: number;
  readonly ctimeNs: bigint;
  readonly object: Buffer;
  /** Relative to the filesystem's root. */
  readonly directory: Buffer;
  readonly name: Buffer;
  /** It has other names too, and the one that the catalogue has is as good. */
  readonly hasLinks: boolean;
}

/** A file with all its data. */
export interface SeenFile {
  readonly ino: number;
  readonly handleHash: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  /** No data on disk, though the size says so: a file of holes, or a stub that lost its record. */
  readonly hollow: boolean;
}

interface Row {
  readonly ino: number;
  readonly state: number;
  readonly handleHash: number;
  readonly object: number;
  readonly directory: number;
  readonly name: StoredName;
}

const { archived, stub, resident } = fileStateCodes;
const columns = 'f.ino, f.state, f.handle_hash AS handleHash, f.object, f.directory, f.name';

export class Scan {
  readonly #db: Database;
  readonly #directories: Directories;
  readonly #versions: Versions;
  readonly #see: Statement<[number, number]>;
  readonly #row: Statement<[number, number], Row>;
  readonly #knows: Statement<[number, number], number>;
  readonly #object: Statement<[Buffer], { n: number; size: number; filesystem: number; ino: number }>;
  readonly #content: Statement<[number], { size: bigint; mtimeNs: bigint }>;
  readonly #own: Statement<[number, number, number]>;
  readonly #notOld: Statement<[number]>;
  readonly #drop: Statement<[number, number, number]>;
  readonly #setState: Statement<[number, number, number]>;
  readonly #put: Statement<[number, number, bigint, number, number, number, StoredName]>;

  constructor(db: Database, directories: Directories, versions: Versions) {
    this.#db = db;
    this.#directories = directories;
    this.#versions = versions;
    db.exec('CREATE TEMP TABLE seen (filesystem INTEGER NOT NULL, ino INTEGER NOT NULL, PRIMARY KEY (filesystem, ino)) STRICT, WITHOUT ROWID');
    this.#see = db.prepare('INSERT INTO seen (filesystem, ino) VALUES (?, ?) ON CONFLICT DO NOTHING');
    this.#row = db.prepare(`SELECT ${columns} FROM files f WHERE f.filesystem = ? AND f.ino = ?`);
    this.#knows = db.prepare<[number, number], number>('SELECT 1 FROM files WHERE filesystem = ? AND ino = ?').pluck();
    this.#object = db.prepare('SELECT n, size, filesystem, ino FROM objects WHERE id = ?');
    this.#content = db.prepare<[number], { size: bigint; mtimeNs: bigint }>('SELECT size, mtime_ns AS mtimeNs FROM objects WHERE n = ?').safeIntegers();
    this.#own = db.prepare('UPDATE objects SET filesystem = ?, ino = ? WHERE n = ?');
    this.#notOld = db.prepare('DELETE FROM old_versions WHERE object = ?');
    this.#drop = db.prepare('DELETE FROM files WHERE filesystem = ? AND ino = ? AND object = ?');
    this.#setState = db.prepare('UPDATE files SET state = ? WHERE filesystem = ? AND ino = ?');
    this.#put = db.prepare(
      `INSERT OR REPLACE INTO files (filesystem, ino, state, ctime_ns, handle_hash, object, directory, name) VALUES (?, ?, ${stub}, ?, ?, ?, ?, ?)`,
    );
  }

  /** True where the catalogue has a file of this inode: sawFile() wants to know more of it. */
  knows(filesystem: number, ino: number): boolean {
    return this.#knows.get(filesystem, ino) === 1;
  }

  /** False when its object is on no volume, or has another size: nothing is changed then. */
  sawStub(filesystem: number, seen: SeenStub): boolean {
    this.#see.run(filesystem, seen.ino);
    const object = this.#object.get(seen.object);
    if (object === undefined || object.size !== seen.size) return false;
    const row = this.#row.get(filesystem, seen.ino);
    if (row !== undefined && row.object !== object.n) this.#versions.end(filesystem, row);
    if (object.filesystem !== filesystem || object.ino !== seen.ino) {
      this.#drop.run(object.filesystem, object.ino, object.n);
      this.#own.run(filesystem, seen.ino, object.n);
    }
    this.#notOld.run(object.n);
    const isKnown = seen.hasLinks && row?.object === object.n;
    const directory = isKnown ? row.directory : this.#directories.idOf(filesystem, seen.directory);
    this.#put.run(filesystem, seen.ino, seen.ctimeNs, seen.handleHash | 0, object.n, directory, isKnown ? row.name : storedName(seen.name));
    return true;
  }

  /** It is there, and what it is has to be found out otherwise: its row stays as it is. */
  saw(filesystem: number, ino: number): void {
    this.#see.run(filesystem, ino);
  }

  /** A file without a record that the catalogue knows: archived where it still is what is on tape, else changed since, or another file. */
  sawFile(filesystem: number, seen: SeenFile): void {
    this.#see.run(filesystem, seen.ino);
    const row = this.#row.get(filesystem, seen.ino);
    if (row === undefined) return;
    if (row.handleHash >>> 0 !== seen.handleHash) {
      this.#versions.end(filesystem, row);
      return;
    }
    const content = this.#content.get(row.object);
    const same = content !== undefined && Number(content.size) === seen.size && content.mtimeNs === seen.mtimeNs;
    // As a stub a hollow file is asked about before anybody reads it; recalled, it has the holes that it was archived with.
    this.#setState.run(!same ? resident : seen.hollow ? stub : archived, filesystem, seen.ino);
  }

  /** Of a filesystem that was seen as a whole: files that are not there any more. Returns how many. */
  dropUnseen(filesystem: number): number {
    const gone = this.#db
      .prepare<[number], Row>(`SELECT ${columns} FROM files f WHERE f.filesystem = ? AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.filesystem = f.filesystem AND s.ino = f.ino)`)
      .all(filesystem);
    for (const row of gone) this.#versions.end(filesystem, row);
    return gone.length;
  }

  /** Files of a filesystem that is not there: what was under way on it is not any more, and of two files of one name the newer counts. */
  settleUnseen(filesystem: number): void {
    for (const ino of superseded(this.#db, filesystem)) {
      const row = this.#row.get(filesystem, ino);
      if (row !== undefined) this.#versions.end(filesystem, row);
    }
    this.#db.prepare(`UPDATE files SET state = ${stub} WHERE filesystem = ? AND state = ${fileStateCodes.recalling}`).run(filesystem);
    this.#db.prepare(`UPDATE files SET state = ${resident} WHERE filesystem = ? AND state = ${fileStateCodes.archiving}`).run(filesystem);
  }
}
