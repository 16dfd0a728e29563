/** Puts a catalogue that was built beside the old one into its place: at any moment there is the old one, none, or the whole new one. */
import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { connect } from '../database.ts';

/** What the old catalogue is called from now on, or null when there was none. Durable when it returns. */
export function placeCatalogue(built: string, path: string, now: Date): string | null {
  const kept = existsSync(path) ? keptName(path, now) : null;
  if (kept !== null) {
    settleLog(path);
    for (const suffix of ['', '-wal']) if (existsSync(path + suffix)) linkSync(path + suffix, kept + suffix);
    syncFolder(dirname(path));
    // Without its log it would be an older catalogue than it is.
    if (hasLog(path)) rmSync(path);
    syncFolder(dirname(path));
  }
  // A log of the old database would be played into the new one.
  for (const suffix of ['-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
  syncFolder(dirname(path));
  renameSync(built, path);
  syncFolder(dirname(path));
  return kept;
}

/** Brings what is in the old database's log into it; a damaged one is kept as it is, log and all. */
function settleLog(path: string): void {
  try {
    const db = connect(path);
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
  } catch {
    // It is being replaced for a reason.
  }
}

/** What is in it could not be brought into the database: somebody reads there, or one of the two is damaged. */
const hasLog = (path: string): boolean => (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;

function keptName(path: string, now: Date): string {
  const stem = `${path.replace(/\.db$/, '')}-${now.toISOString().replace(/[-:]|\.\d+/g, '')}`;
  for (let number = 0; ; number += 1) {
    const name = `${stem}${number === 0 ? '' : `-${number}`}.db`;
    if (!existsSync(name) && !existsSync(`${name}-wal`)) return name;
  }
}

function syncFolder(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
