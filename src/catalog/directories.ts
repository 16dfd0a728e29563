/** Directories as (parent, name), with the paths that were used last in memory. */
import type { Statement } from 'better-sqlite3';
import { HsmError } from '../errors.ts';
import type { Database } from './database.ts';
import { Lru } from './lru.ts';
import { nameBytes, storedName, type StoredName } from './names.ts';

/** Paths kept in memory, whatever the number of directories. */
const remembered = 4096;
const slash = 0x2f;

export class Directories {
  readonly #ids = new Lru<string, number>(remembered);
  readonly #paths = new Lru<number, Buffer>(remembered);
  readonly #addRoot: Statement<[number]>;
  readonly #root: Statement<[number], number>;
  readonly #child: Statement<[number, StoredName], number>;
  readonly #add: Statement<[number, number, StoredName]>;
  readonly #row: Statement<[number], { parent: number | null; name: StoredName }>;

  constructor(db: Database) {
    this.#addRoot = db.prepare(`INSERT INTO directories (filesystem, parent, name) VALUES (?, NULL, '') ON CONFLICT DO NOTHING`);
    this.#root = db.prepare<[number], number>('SELECT id FROM directories WHERE filesystem = ? AND parent IS NULL').pluck();
    this.#child = db.prepare<[number, StoredName], number>('SELECT id FROM directories WHERE parent = ? AND name = ?').pluck();
    this.#add = db.prepare('INSERT INTO directories (filesystem, parent, name) VALUES (?, ?, ?)');
    this.#row = db.prepare('SELECT parent, name FROM directories WHERE id = ?');
  }

  addRoot(filesystem: number): void {
    this.#addRoot.run(filesystem);
  }

  /** Its number, made with its parents if need be. `path` is relative to the filesystem's root, which is the empty path. */
  idOf(filesystem: number, path: Buffer): number {
    const key = `${filesystem}/${path.toString('latin1')}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = path.length === 0 ? this.#rootOf(filesystem) : this.#childOf(filesystem, path);
    this.#ids.set(key, id);
    return id;
  }

  /** Its number, where it has one. */
  find(filesystem: number, path: Buffer): number | undefined {
    if (path.length === 0) return this.#root.get(filesystem);
    const cut = path.lastIndexOf(slash);
    const parent = this.find(filesystem, path.subarray(0, Math.max(cut, 0)));
    return parent === undefined ? undefined : this.#child.get(parent, storedName(path.subarray(cut + 1)));
  }

  /** Relative to the filesystem's root. */
  pathOf(id: number): Buffer {
    const known = this.#paths.get(id);
    if (known !== undefined) return known;
    const row = this.#row.get(id);
    if (row === undefined) throw new HsmError('CATALOG_DAMAGED', `the catalogue lacks directory ${id}, which files in it are in`);
    const path = row.parent === null ? Buffer.alloc(0) : joinPath(this.pathOf(row.parent), nameBytes(row.name));
    this.#paths.set(id, path);
    return path;
  }

  /** After a rollback: numbers given out inside the transaction are nobody's. */
  forget(): void {
    this.#ids.clear();
    this.#paths.clear();
  }

  #rootOf(filesystem: number): number {
    const id = this.#root.get(filesystem);
    if (id === undefined) throw new HsmError('ENOENT', `the catalogue has no filesystem ${filesystem}`);
    return id;
  }

  #childOf(filesystem: number, path: Buffer): number {
    const cut = path.lastIndexOf(slash);
    const parent = this.idOf(filesystem, path.subarray(0, Math.max(cut, 0)));
    const name = storedName(path.subarray(cut + 1));
    return this.#child.get(parent, name) ?? Number(this.#add.run(filesystem, parent, name).lastInsertRowid);
  }
}

export const joinPath = (directory: Buffer, name: Buffer): Buffer =>
  directory.length === 0 ? name : Buffer.concat([directory, Buffer.from('/'), name]);
