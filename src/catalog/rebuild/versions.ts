/** Which version of which file is the present one: by the order of object ids, which is that of time. */
import type { Statement } from 'better-sqlite3';
import type { Database } from '../database.ts';
import { type Directories, joinPath } from '../directories.ts';
import { nameBytes, type StoredName, storedName } from '../names.ts';
import { fileStateCodes } from '../states.ts';
import { inodeOf } from './inode-of-handle.ts';
import type { FoundMember } from './tapes.ts';

/** A file that is in the catalogue, and on no volume that could be read. */
export interface LostFile {
  readonly filesystem: number;
  readonly path: Buffer;
  /** Barcode of where it should be, or null. */
  readonly volume: string | null;
  readonly reason: 'no-copy' | 'no-hash';
}

export interface StagedFile {
  /** Relative to the filesystem's root. */
  readonly path: Buffer;
  readonly handleHash: number;
}

interface Staged {
  readonly object: number;
  readonly id: Buffer;
  readonly filesystem: number;
  readonly ino: number;
  readonly handleHash: number;
  readonly path: Buffer;
}

interface Waiting {
  readonly waiting: bigint;
  readonly container: bigint;
  readonly filesystem: bigint | null;
  readonly id: Buffer;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly offset: bigint;
  readonly length: bigint;
  readonly path: Buffer;
  readonly handle: Buffer | null;
  readonly sha256: Buffer;
}

interface Present {
  readonly ino: number;
  readonly object: number;
  readonly directory: number;
  readonly name: StoredName;
  readonly id: Buffer;
}

const slash = 0x2f;
/** Inode numbers of files whose handle is of an unknown kind begin here: they need to be different, no more. */
const madeUp = 2 ** 52;

export class Versions {
  readonly #db: Database;
  readonly #directories: Directories;
  readonly #now: () => number;
  readonly #object: Statement<[Buffer], { n: number; size: number; sha256: Buffer }>;
  readonly #addObject: Statement<[Buffer, number, bigint, Buffer, number, number]>;
  readonly #addCopy: Statement<[number, number, number, number]>;
  readonly #stage: Statement<[Buffer, number, number, number, number, Buffer]>;
  readonly #wait: Statement<[number, number | null, Buffer, number, bigint, number, number, Buffer, Buffer | null]>;
  readonly #addHash: Statement<[Buffer, Buffer]>;
  readonly #old: Statement<[number, number, number, StoredName]>;
  readonly #notOld: Statement<[number]>;
  readonly #byInode: Statement<[number, number], Present>;
  readonly #byName: Statement<[number, number, StoredName], Present>;
  readonly #drop: Statement<[number, number]>;
  readonly #addFile: Statement<[number, number, number, bigint, number, number, number, StoredName]>;
  #nextMadeUp: number;

  constructor(db: Database, directories: Directories, now: () => number) {
    this.#db = db;
    this.#directories = directories;
    this.#now = now;
    db.exec(`
      -- Objects that no dump knew of. A filesystem of 0 is not known yet.
      CREATE TEMP TABLE staged (
        id BLOB PRIMARY KEY, object INTEGER NOT NULL, filesystem INTEGER NOT NULL, ino INTEGER NOT NULL, handle_hash INTEGER NOT NULL, path BLOB NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX temp.staged_of_nobody ON staged (id) WHERE filesystem = 0;
      CREATE TEMP TABLE waiting (
        container INTEGER NOT NULL, filesystem INTEGER, id BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        offset INTEGER NOT NULL, length INTEGER NOT NULL, path BLOB NOT NULL, handle BLOB
      ) STRICT;
      CREATE TEMP TABLE hashes (id BLOB PRIMARY KEY, sha256 BLOB NOT NULL) STRICT, WITHOUT ROWID;
      -- Files are looked for by name here, and nowhere else.
      CREATE INDEX files_by_name ON files (filesystem, directory, name);
    `);
    this.#nextMadeUp = 1 + (db.prepare<[number], number>('SELECT max(?, coalesce(max(ino), 0)) FROM objects').pluck().get(madeUp) ?? madeUp);
    this.#object = db.prepare('SELECT n, size, sha256 FROM objects WHERE id = ?');
    this.#addObject = db.prepare('INSERT INTO objects (id, size, mtime_ns, sha256, filesystem, ino) VALUES (?, ?, ?, ?, ?, ?)');
    this.#addCopy = db.prepare('INSERT INTO copies (object, container, offset, length) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');
    this.#stage = db.prepare('INSERT INTO staged (id, object, filesystem, ino, handle_hash, path) VALUES (?, ?, ?, ?, ?, ?)');
    this.#wait = db.prepare('INSERT INTO waiting (container, filesystem, id, size, mtime_ns, offset, length, path, handle) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#addHash = db.prepare('INSERT INTO hashes (id, sha256) VALUES (?, ?) ON CONFLICT DO NOTHING');
    this.#old = db.prepare('INSERT OR REPLACE INTO old_versions (object, ended_at, directory, name) VALUES (?, ?, ?, ?)');
    this.#notOld = db.prepare('DELETE FROM old_versions WHERE object = ?');
    const present = 'SELECT f.ino, f.object, f.directory, f.name, o.id FROM files f JOIN objects o ON o.n = f.object';
    this.#byInode = db.prepare(`${present} WHERE f.filesystem = CAST(? AS INTEGER) AND f.ino = CAST(? AS INTEGER)`);
    this.#byName = db.prepare(`${present} WHERE f.filesystem = CAST(? AS INTEGER) AND f.directory = CAST(? AS INTEGER) AND f.name = ?`);
    this.#drop = db.prepare('DELETE FROM files WHERE filesystem = ? AND ino = ?');
    this.#addFile = db.prepare('INSERT INTO files (filesystem, ino, state, ctime_ns, handle_hash, object, directory, name) VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  }

  /** One copy; the object too where it is new. Which file it is a version of is settled later. */
  add(container: number, filesystem: number | null, member: FoundMember): void {
    const { object: id, size, mtimeNs, sha256, offset, length, path, handle } = member;
    const known = this.#object.get(id);
    if (known !== undefined) {
      // A copy of other content under the same id is not this object's.
      if (known.size === size && (sha256 === null || known.sha256.equals(sha256))) this.#addCopy.run(known.n, container, offset, length);
    } else if (sha256 === null) {
      this.#wait.run(container, filesystem, id, size, mtimeNs, offset, length, path, handle);
    } else {
      const inode = inodeOf(handle);
      const ino = inode.ino ?? this.#nextMadeUp++;
      const n = Number(this.#addObject.run(id, size, mtimeNs, sha256, filesystem ?? 0, ino).lastInsertRowid);
      this.#addCopy.run(n, container, offset, length);
      this.#stage.run(id, n, filesystem ?? 0, ino, inode.handleHash | 0, path);
    }
  }

  /** The hash of an object from the index of a container that was cut short. */
  addHash(id: Buffer, sha256: Buffer): void {
    this.#addHash.run(id, sha256);
  }

  /**
   * After the last container: every new object becomes the present version of its file, or an old one. `whose` names the filesystem of
   * a session that nothing in the catalogue tells more about, from some of its files.
   */
  settle(whose: (files: readonly StagedFile[]) => number): void {
    this.#db.transaction(() => {
      this.#resolveWaiting();
      this.#resolveFilesystems(whose);
      const staged = this.#db.prepare<[Buffer], Staged>(
        'SELECT id, object, filesystem, ino, handle_hash AS handleHash, path FROM staged WHERE id > ? ORDER BY id LIMIT 1000',
      );
      for (let page = staged.all(Buffer.alloc(0)); page.length > 0; page = staged.all(page.at(-1)!.id)) for (const each of page) this.#take(each);
      this.#db.exec('DELETE FROM staged');
    })();
  }

  /** Files whose object no volume has, and members that nobody can vouch for. Call before finish(). */
  *lost(): Generator<LostFile> {
    const withoutCopy = this.#db.prepare<[number, number], { filesystem: number; ino: number; directory: number; name: StoredName }>(
      `SELECT f.filesystem, f.ino, f.directory, f.name FROM files f
       WHERE (f.filesystem, f.ino) > (?, ?) AND f.state IN (${fileStateCodes.archived}, ${fileStateCodes.stub}, ${fileStateCodes.recalling})
       AND NOT EXISTS (SELECT 1 FROM copies p JOIN containers c ON c.id = p.container WHERE p.object = f.object AND c.state <> 'void')
       ORDER BY f.filesystem, f.ino LIMIT 1000`,
    );
    for (let page = withoutCopy.all(0, -1); page.length > 0; page = withoutCopy.all(page.at(-1)!.filesystem, page.at(-1)!.ino)) {
      for (const { filesystem, directory, name } of page) yield { filesystem, path: this.#pathOf(directory, name), volume: null, reason: 'no-copy' };
    }
    const unvouched = this.#db.prepare<[], { filesystem: number; path: Buffer; volume: string }>(
      `SELECT coalesce(w.filesystem, 0) AS filesystem, w.path, v.barcode AS volume FROM waiting w
       JOIN containers c ON c.id = w.container JOIN volumes v ON v.id = c.volume ORDER BY w.rowid`,
    );
    for (const row of unvouched.all()) yield { ...row, reason: 'no-hash' };
  }

  /** The file's row goes; its object stays as an old version. */
  end(filesystem: number, file: Pick<Present, 'ino' | 'object' | 'directory' | 'name'>): void {
    this.#old.run(file.object, this.#now(), file.directory, file.name);
    this.#drop.run(filesystem, file.ino);
  }

  /** Takes away what only building needs. */
  tidy(): void {
    this.#db.exec('DROP INDEX IF EXISTS files_by_name; DROP TABLE IF EXISTS temp.staged; DROP TABLE IF EXISTS temp.waiting; DROP TABLE IF EXISTS temp.hashes');
  }

  #resolveWaiting(): void {
    const rows = this.#db
      .prepare<[], Waiting>(
        `SELECT w.rowid AS waiting, w.container, w.filesystem, w.id, w.size, w.mtime_ns AS mtimeNs, w.offset, w.length, w.path, w.handle,
           coalesce(h.sha256, o.sha256) AS sha256
         FROM waiting w LEFT JOIN hashes h ON h.id = w.id LEFT JOIN objects o ON o.id = w.id WHERE h.id IS NOT NULL OR o.id IS NOT NULL`,
      )
      .safeIntegers();
    const done = this.#db.prepare('DELETE FROM waiting WHERE rowid = ?');
    for (const row of rows.all()) {
      const { id: object, mtimeNs, sha256, path, handle } = row;
      const filesystem = row.filesystem === null ? null : Number(row.filesystem);
      this.add(Number(row.container), filesystem, { object, size: Number(row.size), mtimeNs, sha256, offset: Number(row.offset), length: Number(row.length), path, handle });
      done.run(row.waiting);
    }
  }

  /** The first 8 bytes of an object id are those of its session, and a session is about one filesystem. */
  #resolveFilesystems(whose: (files: readonly StagedFile[]) => number): void {
    const next = this.#db.prepare<[], Buffer>('SELECT id FROM staged WHERE filesystem = 0 ORDER BY id LIMIT 1').pluck();
    const fellow = this.#db.prepare<[Buffer, Buffer], number>('SELECT filesystem FROM objects WHERE id BETWEEN ? AND ? AND filesystem <> 0 LIMIT 1').pluck();
    const some = this.#db.prepare<[Buffer, Buffer], StagedFile>('SELECT path, handle_hash & 0xffffffff AS handleHash FROM staged WHERE filesystem = 0 AND id BETWEEN ? AND ? LIMIT 200');
    const inStage = this.#db.prepare('UPDATE staged SET filesystem = ? WHERE filesystem = 0 AND id BETWEEN ? AND ?');
    const inObjects = this.#db.prepare('UPDATE objects SET filesystem = ? WHERE filesystem = 0 AND id BETWEEN ? AND ?');
    for (let id = next.get(); id !== undefined; id = next.get()) {
      const from = Buffer.concat([id.subarray(0, 8), Buffer.alloc(8)]);
      const to = Buffer.concat([id.subarray(0, 8), Buffer.alloc(8, 0xff)]);
      const filesystem = fellow.get(from, to) ?? whose(some.all(from, to));
      inStage.run(filesystem, from, to);
      inObjects.run(filesystem, from, to);
    }
  }

  #take({ object, id, filesystem, ino, handleHash, path }: Staged): void {
    const cut = path.lastIndexOf(slash);
    const directory = this.#directories.idOf(filesystem, path.subarray(0, Math.max(cut, 0)));
    const name = storedName(path.subarray(cut + 1));
    const before = [this.#byInode.get(filesystem, ino), this.#byName.get(filesystem, directory, name)].filter((row) => row !== undefined);
    const endedAt = Number(id.readBigUInt64BE(0) >> 16n);
    if (before.some((row) => Buffer.compare(row.id, id) > 0)) {
      this.#old.run(object, endedAt, directory, name);
      return;
    }
    for (const row of before) {
      this.#old.run(row.object, endedAt, row.directory, row.name);
      this.#drop.run(filesystem, row.ino);
    }
    this.#notOld.run(object);
    // ctime is not known: before anything is released without a tape write, its content is hashed.
    this.#addFile.run(filesystem, ino, fileStateCodes.archived, 0n, handleHash, object, directory, name);
  }

  #pathOf(directory: number, name: StoredName): Buffer {
    return joinPath(this.#directories.pathOf(directory), nameBytes(name));
  }
}
