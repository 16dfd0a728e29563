/** A catalogue in the making, from what volumes and filesystems hold: one process fills the file, and nobody else uses it before it is whole. */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { check } from '../check.ts';
import { connect, type Database } from '../database.ts';
import { Directories } from '../directories.ts';
import { Filesystems } from '../filesystems.ts';
import { migrate } from '../migrate.ts';
import type { FilesystemRow, VolumeRow } from '../model.ts';
import { sqliteError } from '../sqlite-error.ts';
import { Volumes } from '../volumes.ts';
import { recount } from './recount.ts';
import { Scan } from './scan.ts';
import { Tapes } from './tapes.ts';
import { Versions } from './versions.ts';

export type { FoundContainer, FoundMember, VolumeOnTape } from './tapes.ts';
export type { LostFile, StagedFile } from './versions.ts';
export type { SeenFile, SeenStub } from './scan.ts';

/**
 * Methods are synchronous. Nothing is durable before `finish()`, so a process that dies leaves a file that is worth nothing: whoever
 * comes next begins anew.
 */
export class CatalogBuilder {
  readonly tapes: Tapes;
  readonly versions: Versions;
  readonly scan: Scan;
  readonly #path: string;
  readonly #db: Database;
  readonly #filesystems: Filesystems;
  readonly #volumes: Volumes;

  /** `path`: a catalogue dump that a volume had, or no file at all. Fails with `CATALOG_DAMAGED` or `NEWER_SCHEMA` for a dump that is of no use. */
  constructor(path: string, now: () => number = Date.now) {
    const db = connect(path);
    try {
      migrate(db, path);
      // No other process reads it and no crash has to be survived: one fsync at the end is enough.
      db.pragma('journal_mode = MEMORY');
      db.pragma('synchronous = OFF');
      this.#db = db;
      this.#path = path;
      const directories = new Directories(db);
      this.#filesystems = new Filesystems(db, directories);
      this.#volumes = new Volumes(db);
      this.versions = new Versions(db, directories, now);
      this.tapes = new Tapes(db, this.versions);
      this.scan = new Scan(db, directories, this.versions);
    } catch (error) {
      db.close();
      throw sqliteError(error, path);
    }
  }

  /** A line for everything that is wrong with a dump; empty when it can be built upon. */
  check(): string[] {
    return check(this.#db);
  }

  filesystems(): FilesystemRow[] {
    return this.#filesystems.all();
  }

  addFilesystem(row: Omit<FilesystemRow, 'id'>): FilesystemRow {
    return this.#filesystems.add(row);
  }

  volumes(): VolumeRow[] {
    return this.#volumes.all();
  }

  /** Runs it in one transaction: many small changes cost little then. */
  transaction<T>(run: () => T): T {
    return this.#db.transaction(run)();
  }

  /** Makes the counts true and the file durable, and closes it. `problems`: what is wrong with it, which is nothing unless hsm has a fault. */
  finish(): { readonly files: number; readonly problems: string[] } {
    this.versions.tidy();
    recount(this.#db);
    const problems = check(this.#db);
    const files = this.#db.prepare<[], number>('SELECT coalesce(sum(files), 0) FROM file_counts').pluck().get() ?? 0;
    this.#db.pragma('journal_mode = WAL');
    this.close();
    const fd = openSync(this.#path, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    return { files, problems };
  }

  close(): void {
    this.#db.close();
  }
}
