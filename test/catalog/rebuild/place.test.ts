import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { applicationId, connect, type Database } from '../../../src/catalog/database.ts';
import { placeCatalogue } from '../../../src/catalog/rebuild/place.ts';
import { temporaryFolder } from '../../fixtures/temporary.ts';

const rowsOf = (path: string): number[] => {
  const db = connect(path, { readonly: true });
  const rows = db.prepare<[], number>('SELECT n FROM t').pluck().all();
  db.close();
  return rows;
};

function database(path: string, rows: readonly number[]): Database {
  const db = connect(path);
  db.pragma(`application_id = ${applicationId}`);
  db.exec('CREATE TABLE t (n INTEGER)');
  for (const row of rows) db.prepare('INSERT INTO t VALUES (?)').run(row);
  return db;
}

/** An old catalogue whose newest row stays in the log, since somebody reads. */
async function busy(t: ExecutionContext): Promise<{ folder: string; path: string }> {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'catalogue.db');
  const db = database(path, [1]);
  db.pragma('wal_checkpoint(TRUNCATE)');
  const reader = connect(path);
  reader.exec('BEGIN');
  reader.prepare('SELECT * FROM t').all();
  db.prepare('INSERT INTO t VALUES (2)').run();
  t.teardown(() => {
    reader.close();
    db.close();
  });
  return { folder, path };
}

test('the new catalogue takes the place, the old one keeps its rows under another name', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'catalogue.db');
  database(path, [1, 2]).close();
  database(join(folder, 'built.db'), [3]).close();
  const kept = placeCatalogue(join(folder, 'built.db'), path, new Date());
  t.deepEqual(rowsOf(path), [3]);
  t.deepEqual(rowsOf(kept!), [1, 2]);
});

test('rows in the log of an old catalogue in use are kept with it, and never played into the new one', async (t) => {
  const { folder, path } = await busy(t);
  database(join(folder, 'built.db'), [3]).close();
  const kept = placeCatalogue(join(folder, 'built.db'), path, new Date());
  t.deepEqual(rowsOf(path), [3]);
  t.deepEqual(rowsOf(kept!), [1, 2]);
});

test('when placing ends half-way, no old catalogue without its log is left in the place', async (t) => {
  const { folder, path } = await busy(t);
  t.throws(() => placeCatalogue(join(folder, 'missing.db'), path, new Date()), { code: 'ENOENT' });
  t.false(existsSync(path));
  const kept = readdirSync(folder).find((name) => /^catalogue-.*\.db$/.test(name));
  t.deepEqual(rowsOf(join(folder, kept!)), [1, 2]);
});
