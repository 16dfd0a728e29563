import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import Database from 'better-sqlite3';
import { applicationId, connect, requireDurable } from '../../src/catalog/database.ts';
import { openCatalog } from '../../src/catalog/index.ts';
import { migrate } from '../../src/catalog/migrate.ts';
import { migrations } from '../../src/catalog/schema.ts';
import { membersOf, prepare, temporaryCatalog, temporaryFolder } from '../fixtures/catalogue.ts';

test('a new catalogue commits durably', (t) => {
  const { path } = temporaryCatalog(t);
  const db = connect(path);
  t.teardown(() => db.close());
  t.is(db.pragma('journal_mode', { simple: true }), 'wal');
  t.is(db.pragma('synchronous', { simple: true }), 2);
  t.is(db.pragma('foreign_keys', { simple: true }), 1);
  t.is(db.pragma('mmap_size', { simple: true }), 0);
  t.is(db.pragma('application_id', { simple: true }), applicationId);
  t.is(db.pragma('user_version', { simple: true }), migrations.length);
});

test('a connection that would not be durable is refused', (t) => {
  for (const pragma of ['synchronous = NORMAL', 'synchronous = OFF', 'journal_mode = DELETE', 'foreign_keys = OFF']) {
    const path = join(temporaryFolder(t), 'catalogue.db');
    const db = connect(path);
    db.pragma(pragma);
    t.throws(() => requireDurable(db, path), { code: 'NOT_DURABLE', message: new RegExp(path) }, pragma);
    db.close();
  }
});

test('what cannot be a durable file is refused: memory, a folder that is not there, a folder', (t) => {
  t.throws(() => openCatalog(':memory:'), { code: 'NOT_DURABLE' });
  const folder = temporaryFolder(t);
  t.throws(() => openCatalog(join(folder, 'no', 'catalogue.db')), { code: 'ENOENT', message: /hsm init/ });
  t.throws(() => openCatalog(folder), { code: 'EACCES' });
});

test('another database, another file and a damaged one are refused and left alone', (t) => {
  const folder = temporaryFolder(t);
  const foreign = join(folder, 'foreign.db');
  const db = new Database(foreign);
  db.exec('CREATE TABLE photos (name TEXT)');
  db.close();
  t.throws(() => openCatalog(foreign), { code: 'NOT_CATALOG' });
  const again = new Database(foreign);
  t.is(again.pragma('journal_mode', { simple: true }), 'delete');
  again.close();

  const text = join(folder, 'text.db');
  writeFileSync(text, 'no database at all\n'.repeat(300));
  t.throws(() => openCatalog(text), { code: 'NOT_CATALOG' });
});

test('a catalogue of a later release is refused and left alone', async (t) => {
  const { catalog, path } = temporaryCatalog(t);
  await catalog.close();
  const db = new Database(path);
  db.pragma(`user_version = ${migrations.length + 1}`);
  db.close();
  t.throws(() => openCatalog(path), { code: 'NEWER_SCHEMA', message: /newer release/ });
});

test('a migration that fails leaves the version before it, whole', (t) => {
  const path = join(temporaryFolder(t), 'catalogue.db');
  const db = connect(path);
  t.teardown(() => db.close());
  const steps = ['CREATE TABLE a (x)', 'CREATE TABLE b (x); INSERT INTO b VALUES (1); INSERT INTO missing VALUES (1)'];
  t.throws(() => migrate(db, path, steps), { code: 'SQLITE_ERROR' });
  t.is(db.pragma('user_version', { simple: true }), 1);
  t.deepEqual(db.prepare(`SELECT name FROM sqlite_schema`).pluck().all(), ['a']);
  t.is(db.pragma('foreign_keys', { simple: true }), 1);
  migrate(db, path, [steps[0] ?? '', 'CREATE TABLE b (x)', 'CREATE TABLE c (x)']);
  t.is(db.pragma('user_version', { simple: true }), 3);
});

test('a migration that would break a reference is undone', (t) => {
  const path = join(temporaryFolder(t), 'catalogue.db');
  const db = connect(path);
  t.teardown(() => db.close());
  const create = 'CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a REFERENCES a (id)); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)';
  t.throws(() => migrate(db, path, [create, 'DELETE FROM a']), { code: 'CATALOG_DAMAGED' });
  t.is(db.prepare('SELECT count(*) FROM a').pluck().get(), 1);
});

test('opening again changes nothing', async (t) => {
  const { catalog, path } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 1 }]));
  await catalog.close();
  await catalog.close();
  const again = openCatalog(path);
  t.teardown(() => again.close());
  t.is((await again.filesByInode(filesystem, [1]))[0]?.state, 'archived');
  t.deepEqual(await again.check(), []);
});

test('after close every method fails with CLOSED, and what was asked for before is committed', async (t) => {
  const { catalog, path } = temporaryCatalog(t);
  const pending = catalog.addVolume({ barcode: 'LAST', pool: null, capacity: 1 });
  await catalog.close();
  t.is((await pending).barcode, 'LAST');
  await t.throwsAsync(catalog.volumes(), { code: 'CLOSED' });
  await t.throwsAsync(catalog.logEvent('x', null, {}), { code: 'CLOSED' });
  const again = openCatalog(path);
  t.teardown(() => again.close());
  t.is((await again.volumes()).length, 1);
});

test('the database refuses to delete an object that a file needs', async (t) => {
  const { catalog, path } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 1 }]));
  const db = connect(path);
  t.teardown(() => db.close());
  db.exec('DELETE FROM copies');
  t.throws(() => db.exec('DELETE FROM objects'), { message: /a file needs this object/ });
});
