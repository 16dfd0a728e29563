import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { HsmError } from '../../src/errors.ts';
import { sqliteError } from '../../src/catalog/sqlite-error.ts';

const becomes = test.macro({
  exec(t: ExecutionContext, sqlite: string, code: string, retry: string) {
    const cause = new Database.SqliteError('what SQLite said', sqlite);
    const error = sqliteError(cause, '/state/catalogue.db');
    t.like(error, { name: 'HsmError', code, retry, path: '/state/catalogue.db', cause });
    t.regex(error.message, /^catalogue \/state\/catalogue\.db: [^\n]+$/);
  },
  title: (_, sqlite, code) => `${sqlite} becomes ${code}`,
});

test(becomes, 'SQLITE_FULL', 'ENOSPC', 'later');
test(becomes, 'SQLITE_IOERR_SHMSIZE', 'ENOSPC', 'later');
test(becomes, 'SQLITE_IOERR_FSYNC', 'EIO', 'never');
test(becomes, 'SQLITE_BUSY_SNAPSHOT', 'EAGAIN', 'later');
test(becomes, 'SQLITE_READONLY', 'EROFS', 'never');
test(becomes, 'SQLITE_CORRUPT_INDEX', 'CATALOG_DAMAGED', 'never');
test(becomes, 'SQLITE_NOTADB', 'NOT_CATALOG', 'never');
test(becomes, 'SQLITE_CANTOPEN', 'EACCES', 'never');
test(becomes, 'SQLITE_CONSTRAINT_CHECK', 'EINVAL', 'never');

test('an error of ours and an error of nobody stay what they are', (t) => {
  const ours = new HsmError('BAD_MOVE', 'x');
  t.is(sqliteError(ours, '/c'), ours);
  const bug = new TypeError('x is not a function');
  t.is(sqliteError(bug, '/c'), bug);
  t.like(sqliteError('text', '/c'), { code: 'INTERNAL' });
});
