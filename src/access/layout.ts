/** Makes the files of all trials: one folder each, everything in it old enough to go to tape. */
import { chmodSync, chownSync, closeSync, constants, copyFileSync, ftruncateSync, lutimesSync, mkdirSync, openSync, readdirSync, statSync, writeSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { HsmError } from '../errors.ts';
import { mountOf } from '../mounts.ts';
import type { AccessCase, Filesystem, User } from './case.ts';
import { accessProgram, contentOf, segmentsOf } from './contents.ts';
import { runScript } from './script.ts';

export interface Place {
  /** An empty folder on the managed filesystem; everything is made in it. */
  readonly folder: string;
  readonly type: Filesystem;
  /** An empty folder on another filesystem, which both users can reach. */
  readonly elsewhere: string;
}

/** One case as one user. */
export interface Trial {
  readonly case: AccessCase;
  readonly user: User;
  readonly file: string;
  readonly folder: string;
  readonly out: string;
  /** What the file held when it was made; null where `make` made it. */
  readonly content: Buffer | null;
  readonly environment: Readonly<Record<string, string>>;
}

/** Nothing is a stub yet: only a broken machine takes so long. */
const makeLimitMs = 60_000;
/** Older than anybody's --older-than. */
const longAgo = new Date('2001-01-01T12:00:00Z');

/** Files of cases that this filesystem type or user has. Fails when a file cannot be made. */
export async function layOut(cases: readonly AccessCase[], users: readonly User[], place: Place): Promise<readonly Trial[]> {
  const program = join(place.elsewhere, 'hsm-access');
  copyFileSync(accessProgram, program);
  chmodSync(program, 0o755);
  const trials: Trial[] = [];
  for (const user of users) {
    for (const [index, each] of cases.entries()) {
      if (each.types?.includes(place.type) === false || each.users?.includes(user.name) === false) continue;
      trials.push(await makeFiles(each, user, `${user.name}-${index}`, program, place));
    }
  }
  makeOld(place.folder);
  return trials;
}

async function makeFiles(each: AccessCase, user: User, name: string, program: string, place: Place): Promise<Trial> {
  const folder = join(place.folder, name);
  const out = join(place.elsewhere, name);
  for (const path of [folder, out]) {
    mkdirSync(path);
    chownSync(path, user.uid, user.gid);
  }
  const file = join(folder, each.file ?? 'file');
  const content = each.content === 'none' ? null : contentOf(each.content ?? 'plain');
  const expected = join(out, 'expected');
  if (content !== null) {
    for (const path of [file, expected]) writeContent(path, each.content ?? 'plain', content, user);
  }
  const subvolume = place.type === 'btrfs' ? subvolumeOf(folder) : '';
  const mount = mountOf(folder);
  if (mount === undefined) throw new HsmError('ACCESS', `${folder} is on no mount`);
  const environment = {
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin',
    LC_ALL: 'C',
    HOME: out,
    TMPDIR: out,
    FILE: file,
    FOLDER: folder,
    OTHER: join(folder, 'other'),
    OUT: out,
    EXPECTED: expected,
    ACCESS: program,
    OWNER: String(user.uid),
    AS: user.uid === 0 ? '' : `setpriv --reuid=${user.uid} --regid=${user.gid} --clear-groups --`,
    DEVICE: mount.source,
    WITHIN: join(mount.root, relative(mount.path, folder)).slice(1),
    SUBVOLUME: subvolume,
    BELOW: relative(subvolume, folder),
    SNAPSHOT: `.hsm-access-${process.pid}-${name}`,
  };
  const trial = { case: each, user, file, folder, out, content, environment };
  if (each.make !== undefined) {
    const made = await runScript(each.make, { ...trial, asRoot: false, limitMs: makeLimitMs });
    // Nothing is left out silently: a case without its file shows that it was no stub.
    if (made.exitCode !== 0 && each.needs === undefined) throw new HsmError('ACCESS', `the files for '${each.name}' could not be made: ${made.stderr.trim()}`);
  }
  return trial;
}

function writeContent(path: string, name: NonNullable<AccessCase['content']>, content: Buffer, user: User): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
  try {
    for (const { offset, end } of segmentsOf(name, content.length)) writeSync(fd, content, offset, end - offset, offset);
    ftruncateSync(fd, content.length);
  } finally {
    closeSync(fd);
  }
  chmodSync(path, 0o755);
  chownSync(path, user.uid, user.gid);
}

/** The root of a btrfs subvolume is inode 256. */
function subvolumeOf(folder: string): string {
  let path = folder;
  while (statSync(path).ino !== 256 && path !== '/') path = dirname(path);
  return path;
}

function makeOld(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) lutimesSync(join(entry.parentPath, entry.name), longAgo, longAgo);
  }
}
