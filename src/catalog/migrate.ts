/** Brings a catalogue to the schema of this release. */
import { HsmError } from '../errors.ts';
import { applicationId, type Database } from './database.ts';
import { migrations } from './schema.ts';

/**
 * Runs what is missing of `steps`, each in one transaction with its version number, so that a crash or an error leaves a whole
 * older version. Fails with `NEWER_SCHEMA` when a later release of hsm has been here.
 */
export function migrate(db: Database, path: string, steps: readonly string[] = migrations): void {
  if (versionOf(db) === steps.length) return;
  // Rebuilding a table drops it, which foreign keys would refuse; they are checked as a whole instead.
  db.pragma('foreign_keys = OFF');
  try {
    while (step(db, path, steps));
  } finally {
    db.pragma('foreign_keys = ON');
  }
}

function step(db: Database, path: string, steps: readonly string[]): boolean {
  db.exec('BEGIN IMMEDIATE');
  try {
    const version = versionOf(db);
    if (version > steps.length) throw newer(path, version, steps.length);
    const sql = steps[version];
    if (sql !== undefined) {
      db.exec(sql);
      if ((db.pragma('foreign_key_check') as unknown[]).length > 0) {
        throw new HsmError('CATALOG_DAMAGED', `catalogue ${path}: migration ${version + 1} would break its references; nothing was changed`, { path });
      }
      db.pragma(`application_id = ${applicationId}`);
      db.pragma(`user_version = ${version + 1}`);
    }
    db.exec('COMMIT');
    return sql !== undefined;
  } catch (error) {
    if (db.inTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

const versionOf = (db: Database): number => Number(db.pragma('user_version', { simple: true }));

const newer = (path: string, found: number, known: number): HsmError =>
  new HsmError('NEWER_SCHEMA', `catalogue ${path}: has schema ${found}, this hsm knows ${known}: install the newer release that wrote it`, { path });
