/** One connection to the catalogue's SQLite file, with the pragmas that durability and flat memory rest on. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { HsmError } from '../errors.ts';
import { sqliteError } from './sqlite-error.ts';

export type { Database } from 'better-sqlite3';

/** "hsm1": tells a catalogue from any other SQLite file. */
export const applicationId = 0x68736d31;

export interface ConnectionOptions {
  readonly readonly?: boolean;
  /** For tests of a full catalogue: the most pages the file may have. */
  readonly maxPages?: number;
}

/**
 * Opens, or creates, the file at `path`. Fails with ENOENT when its folder is missing, `NOT_CATALOG` when the file is something else,
 * and `NOT_DURABLE` when it could not be made to survive a power cut.
 */
export function connect(path: string, options: ConnectionOptions = {}): Database.Database {
  if (!existsSync(dirname(path))) {
    throw new HsmError('ENOENT', `catalogue ${path}: its folder does not exist; run 'hsm init', or correct 'state' in the config`, { path });
  }
  let db: Database.Database | undefined;
  try {
    db = new Database(path, { timeout: 5000, readonly: options.readonly ?? false, fileMustExist: options.readonly ?? false });
    refuseStranger(db, path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('foreign_keys = ON');
    db.pragma('cache_size = -8192');
    db.pragma('mmap_size = 0');
    db.pragma('journal_size_limit = 67108864');
    // A checkpoint is two more fsyncs, and bulk writes touch the same pages again and again: 16 MiB at a time instead of 4.
    db.pragma('wal_autocheckpoint = 4000');
    if (options.maxPages !== undefined) db.pragma(`max_page_count = ${options.maxPages}`);
    requireDurable(db, path);
    return db;
  } catch (error) {
    db?.close();
    throw sqliteError(error, path);
  }
}

/** Fails unless this connection commits durably: SQLite ignores a pragma that it cannot honour and says nothing. */
export function requireDurable(db: Database.Database, path: string): void {
  const journal = db.pragma('journal_mode', { simple: true });
  const synchronous = db.pragma('synchronous', { simple: true });
  const foreignKeys = db.pragma('foreign_keys', { simple: true });
  if (journal === 'wal' && synchronous === 2 && foreignKeys === 1) return;
  throw new HsmError(
    'NOT_DURABLE',
    `catalogue ${path}: cannot be made durable (journal_mode ${String(journal)}, synchronous ${String(synchronous)}): put it on a local filesystem`,
    { path },
  );
}

/**
 * A parameter in the WHERE clause of a join. SQLite's planner peeks at the value of a bare `?` there, and so prepares the statement anew
 * whenever another one is bound, which costs several times what the lookup does; a cast it does not look into.
 */
export const integer = 'CAST(? AS INTEGER)';
export const blob = 'CAST(? AS BLOB)';

function refuseStranger(db: Database.Database, path: string): void {
  const id = db.pragma('application_id', { simple: true });
  if (id === applicationId) return;
  const tables = db.prepare<[], number>('SELECT count(*) FROM sqlite_schema').pluck().get() ?? 0;
  if (id === 0 && tables === 0) return;
  throw new HsmError('NOT_CATALOG', `${path} is a database, but not an hsm catalogue`, { path });
}
