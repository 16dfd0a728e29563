/** Turns SQLite's errors into the one error type of hsm. */
import { HsmError, type Retry } from '../errors.ts';

/** An HsmError for anything that better-sqlite3 throws, `cause` kept; an HsmError comes back unchanged. */
export function sqliteError(error: unknown, path: string): Error {
  if (error instanceof HsmError) return error;
  if (!(error instanceof Error)) return new HsmError('INTERNAL', `catalogue ${path}: ${String(error)}`, { path, cause: error });
  const sqlite = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = table.find(([prefix]) => sqlite.startsWith(prefix));
  if (known === undefined) return error;
  const [, code, retry, advice] = known;
  return new HsmError(code, `catalogue ${path}: ${advice} (${sqlite}: ${error.message})`, { path, retry, cause: error });
}

/** True where SQLite may have ended the transaction by itself, or where nothing more should be tried within it. */
export const endsTransaction = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && /^SQLITE_(FULL|IOERR|NOMEM|CORRUPT|NOTADB|BUSY|READONLY|PROTOCOL)/.test(error.code);

// https://sqlite.org/rescode.html; the first prefix that fits decides.
const table: readonly (readonly [prefix: string, code: string, retry: Retry, advice: string])[] = [
  ['SQLITE_FULL', 'ENOSPC', 'later', 'no space left on its disk; free some and try again'],
  ['SQLITE_IOERR_SHMSIZE', 'ENOSPC', 'later', 'no space left on its disk; free some and try again'],
  ['SQLITE_IOERR', 'EIO', 'never', 'its disk failed; check it, then run hsm doctor'],
  ['SQLITE_BUSY', 'EAGAIN', 'later', 'another process holds it; try again'],
  ['SQLITE_LOCKED', 'EAGAIN', 'later', 'another process holds it; try again'],
  ['SQLITE_READONLY', 'EROFS', 'never', 'it cannot be written'],
  ['SQLITE_PERM', 'EACCES', 'never', 'permission denied'],
  ['SQLITE_AUTH', 'EACCES', 'never', 'permission denied'],
  ['SQLITE_CANTOPEN', 'EACCES', 'never', 'it cannot be opened; check that it is a file that you may write'],
  ['SQLITE_CORRUPT', 'CATALOG_DAMAGED', 'never', 'it is damaged; restore its last dump or rebuild it from the tapes'],
  ['SQLITE_NOTADB', 'NOT_CATALOG', 'never', 'the file is not an hsm catalogue'],
  ['SQLITE_NOMEM', 'ENOMEM', 'later', 'out of memory'],
  ['SQLITE_CONSTRAINT', 'EINVAL', 'never', 'a value that its rules forbid'],
  ['SQLITE_MISMATCH', 'EINVAL', 'never', 'a value of the wrong kind'],
];
