/** One process at a time drives a library. */
import Database from 'better-sqlite3';
import { errorCode, exitCodes, HsmError } from '../errors.ts';

export interface LibraryLock {
  release(): void;
}

/**
 * Holds `path` until released or until the process is gone: SQLite's exclusive transaction is a record lock that the
 * kernel drops even after kill -9, which a file with a process id is not. Fails with `REFUSED` when somebody else holds it.
 */
export function lockLibrary(path: string): LibraryLock {
  const database = new Database(path, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    if (!errorCode(cause).startsWith('SQLITE_BUSY')) throw cause;
    throw new HsmError('REFUSED', `the library of ${path} is in use by another process`, { exit: exitCodes.refused, retry: 'later', path, cause });
  }
  return {
    release: () => {
      database.close();
    },
  };
}
