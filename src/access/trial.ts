/** Runs one trial: the script, then a look at what it left, with proof that a stub was touched. */
import { accessSync, closeSync, constants, openSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { native } from '../native/index.ts';
import { stubXattr } from '../stub.ts';
import { root } from './case.ts';
import { judge, type Verdict } from './judge.ts';
import type { Trial } from './layout.ts';
import { runScript } from './script.ts';

/** Follows the inode through renames, and is no open that anything could wait for. Not in fs.constants. */
const openPath = 0o10_000_000;

/** `limitMs`: a script that takes longer is ended, and counts as hung. */
export async function runTrial(trial: Trial, limitMs: number): Promise<Verdict> {
  const { case: each, content, environment } = trial;
  const missing = (each.needs ?? []).filter((program) => !isThere(program, environment['PATH'] ?? ''));
  if (missing.length > 0) return { result: 'unavailable', reason: `${missing.join(', ')} not found` };
  const fd = openSync(trial.file, openPath);
  try {
    const before = isStub(fd);
    const ran = await runScript(each.script, { ...trial, asRoot: each.asRoot ?? false, limitMs });
    const after = isStub(fd);
    const expected = Buffer.from(each.prints?.(content ?? Buffer.alloc(0)) ?? content ?? '');
    return judge(each, { ...ran, expected, left: ran.timedOut ? null : await leftBy(trial, fd, limitMs), stub: { before, after } });
  } finally {
    closeSync(fd);
  }
}

async function leftBy({ case: each, content, environment }: Trial, fd: number, limitMs: number): Promise<Parameters<typeof judge>[1]['left']> {
  const path = pathOf(fd);
  if (content === null || each.leaves === null || path === null) return null;
  // Once from memory, once from disk.
  const direct = await runScript('"$ACCESS" read-direct "$PLACE"', { user: root, folder: '/', environment: { ...environment, PLACE: path }, asRoot: false, limitMs });
  const wanted = { expected: Buffer.from(each.leaves?.(content) ?? content), original: content };
  try {
    return { ...wanted, seen: [await readFile(path), direct.stdout] };
  } catch (error) {
    return { ...wanted, seen: [], error: (error as Error).message };
  }
}

/** Where the inode is now; null: it has no name any more. */
function pathOf(fd: number): string | null {
  const path = readlinkSync(`/proc/self/fd/${fd}`);
  return path.endsWith(' (deleted)') ? null : path;
}

/** A file without a name is one as long as it has no block. */
function isStub(fd: number): boolean {
  const path = pathOf(fd);
  return path === null ? native.statx(fd, '').blocks === 0 : native.getxattr(path, stubXattr) !== null;
}

function isThere(program: string, path: string): boolean {
  return path.split(':').some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
