/** The thread behind maintenance.ts. */
import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { errorCode, HsmError } from '../errors.ts';
import { check } from './check.ts';
import { connect, type Database } from './database.ts';
import type { Answer, Task } from './maintenance.ts';
import { sqliteError } from './sqlite-error.ts';
import { superseded } from './superseded.ts';

parentPort?.once('message', (task: Task) => parentPort?.postMessage(answer(task)));

function answer(task: Task): Answer {
  try {
    if (task.kind === 'check') return { lines: reading(task.path, check) };
    if (task.kind === 'superseded') return { lines: reading(task.path, (db) => superseded(db, task.filesystem).map(String)) };
    dump(task);
    return { lines: [] };
  } catch (error) {
    const failure = sqliteError(error, task.kind === 'dump' ? task.target : task.path);
    return { error: { code: errorCode(failure), message: failure.message } };
  }
}

function reading<T>(path: string, use: (db: Database) => T): T {
  const db = connect(path, { readonly: true });
  try {
    return use(db);
  } finally {
    db.close();
  }
}

/** The target appears whole, and durable where that is wanted, or not at all. */
function dump({ path, target, durable }: Extract<Task, { kind: 'dump' }>): void {
  if (existsSync(target)) throw new HsmError('EEXIST', `dump ${target}: the file exists already; name a new one`, { path: target });
  const partial = `${target}.partial`;
  rmSync(partial, { force: true });
  try {
    const db = connect(path, { readonly: true });
    try {
      // Of the copy: nothing else is written here.
      if (!durable) db.pragma('synchronous = OFF');
      db.prepare('VACUUM INTO ?').run(partial);
    } finally {
      db.close();
    }
    if (durable) sync(partial);
    linkSync(partial, target);
  } finally {
    rmSync(partial, { force: true });
  }
  if (durable) sync(dirname(target));
}

function sync(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
