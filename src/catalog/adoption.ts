/** Objects that become the present version of another inode: files of a lost filesystem, made again as stubs on a new one. */
import type { Statement } from 'better-sqlite3';
import { HsmError } from '../errors.ts';
import { type Counts, noteMove } from './counts.ts';
import type { Database } from './database.ts';
import type { Directories } from './directories.ts';
import type { FileState, NewStub } from './model.ts';
import { storedName, type StoredName } from './names.ts';
import type { OldVersions } from './old-versions.ts';
import { fileState, fileStateCodes, needsObject } from './states.ts';
import type { Usage, UsageChanges } from './usage.ts';

interface Present {
  readonly state: number;
  readonly object: number;
  readonly directory: number;
  readonly name: StoredName;
}

const slash = 0x2f;

export class Adoption {
  readonly #directories: Directories;
  readonly #counts: Counts;
  readonly #usage: Usage;
  readonly #old: OldVersions;
  readonly #object: Statement<[Buffer], { n: number; filesystem: number; ino: number }>;
  readonly #present: Statement<[number, number], Present>;
  readonly #drop: Statement<[number, number]>;
  readonly #own: Statement<[number, number, number]>;
  readonly #add: Statement<[number, number, bigint, number, number, number, StoredName]>;

  constructor(db: Database, parts: { directories: Directories; counts: Counts; usage: Usage; old: OldVersions }) {
    this.#directories = parts.directories;
    this.#counts = parts.counts;
    this.#usage = parts.usage;
    this.#old = parts.old;
    this.#object = db.prepare('SELECT n, filesystem, ino FROM objects WHERE id = ?');
    this.#present = db.prepare('SELECT state, object, directory, name FROM files WHERE filesystem = ? AND ino = ?');
    this.#drop = db.prepare('DELETE FROM files WHERE filesystem = ? AND ino = ?');
    this.#own = db.prepare('UPDATE objects SET filesystem = ?, ino = ? WHERE n = ?');
    this.#add = db.prepare(
      `INSERT INTO files (filesystem, ino, state, ctime_ns, handle_hash, object, directory, name) VALUES (?, ?, ${fileStateCodes.stub}, ?, ?, ?, ?, ?)`,
    );
  }

  /** One transaction's worth. The file that had an object until now is no more. Fails with `BAD_OBJECT` for one that is not known. */
  adopt(filesystem: number, stubs: readonly NewStub[]): void {
    const usage: UsageChanges = new Map();
    const counts = new Map<number, Map<FileState, number>>();
    const countsOf = (id: number): Map<FileState, number> => {
      const known = counts.get(id) ?? new Map<FileState, number>();
      counts.set(id, known);
      return known;
    };
    const leave = (id: number, ino: number, { state, object }: Present): void => {
      const from = fileState(state);
      this.#drop.run(id, ino);
      if (needsObject(from)) this.#usage.turn(usage, object, -1);
      noteMove(countsOf(id), from, null);
    };
    for (const { object: id, ino, handleHash, ctimeNs, path } of stubs) {
      const object = this.#object.get(id);
      if (object === undefined) throw new HsmError('BAD_OBJECT', `object ${id.toString('hex')} is not in the catalogue`);
      const before = this.#present.get(object.filesystem, object.ino);
      if (before?.object === object.n) leave(object.filesystem, object.ino, before);
      const stranger = this.#present.get(filesystem, ino);
      if (stranger !== undefined) {
        leave(filesystem, ino, stranger);
        this.#old.add(stranger);
      }
      this.#own.run(filesystem, ino, object.n);
      this.#old.remove(object.n);
      const cut = path.lastIndexOf(slash);
      const directory = this.#directories.idOf(filesystem, path.subarray(0, Math.max(cut, 0)));
      this.#add.run(filesystem, ino, ctimeNs, handleHash | 0, object.n, directory, storedName(path.subarray(cut + 1)));
      this.#usage.turn(usage, object.n, 1);
      noteMove(countsOf(filesystem), null, 'stub');
    }
    this.#usage.apply(usage);
    for (const [id, changes] of counts) this.#counts.apply(id, changes);
  }
}
