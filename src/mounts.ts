/** Mounted filesystems, as /proc/self/mountinfo lists them (proc_pid_mountinfo(5)). */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { native } from './native/index.ts';

export interface Mount {
  /** Mount point. Bytes that are not UTF-8 are lost. */
  readonly path: string;
  /** Path within the filesystem that is seen at the mount point; `/` for all of it. */
  readonly root: string;
  /** `major:minor`; equal for every view of one filesystem. */
  readonly device: string;
  readonly type: string;
  /** Such as `/dev/sdb1`. */
  readonly source: string;
  /** Options of this mount and of the filesystem. */
  readonly options: readonly string[];
}

/** Types that hsm manages: those whose event and eviction behaviour is tested. */
export const managedTypes: readonly string[] = ['ext4', 'xfs', 'btrfs'];

/** In mount order: of two at one path the later is on top. */
export function mounts(): Mount[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map(parseMount);
}

/** `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`. */
export function parseMount(line: string): Mount {
  const [left = '', right = ''] = line.split(' - ');
  const [, , device = '', root = '', path = '', own = ''] = left.split(' ');
  const [type = '', source = '', shared = ''] = right.split(' ');
  return { path: unescape(path), root: unescape(root), device, type, source: unescape(source), options: [...new Set([...own.split(','), ...shared.split(',')])] };
}

/** The mount that is seen at an absolute path without symbolic links. */
export function mountOf(path: string, all: readonly Mount[] = mounts()): Mount | undefined {
  return all.filter((mount) => isBelow(path, mount.path)).reduce<Mount | undefined>((best, mount) => (best !== undefined && best.path.length > mount.path.length ? best : mount), undefined);
}

const isBelow = (path: string, folder: string): boolean => folder === '/' || path === folder || path.startsWith(`${folder}/`);

/** What names a filesystem across mounts: its UUID as blkid tells it, else the statfs id. */
export function filesystemId(mount: Mount): string {
  try {
    const uuid = execFileSync('blkid', ['-c', '/dev/null', '-o', 'value', '-s', 'UUID', mount.source], { encoding: 'utf8', timeout: 10_000, stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    if (uuid !== '') return uuid;
  } catch {
    // No blkid, or no device: an id that is good enough while the device keeps its name.
  }
  return native.statfs(mount.path).fsid;
}

const unescape = (text: string): string => text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
