/** The managed filesystems: mounted, of a known type, writable, with room for the stub record in each inode. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../../config.ts';
import { errorCode } from '../../errors.ts';
import { managedTypes, type Mount, mountOf, mounts } from '../../mounts.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

const check = 'filesystem';

export function checkFilesystems(config: Config): Finding[] {
  const all = mounts();
  return config.filesystems.flatMap((path) => checkOne(path, config, all));
}

function checkOne(path: string, config: Config, all: readonly Mount[]): Finding[] {
  const mount = mountOf(path, all);
  if (mount?.path !== path) return [fail(check, `${path} is not mounted`, `mount it before 'hsm daemon' starts (RequiresMountsFor=${path} in hsm.service), or take it out of ${config.file}`)];
  if (mount.device === mountOf('/', all)?.device) return [fail(check, `${path} is the root filesystem`, `take it out of ${config.file}: hsm must not guard what the system runs on`)];
  if (!managedTypes.includes(mount.type)) return [fail(check, `${path} is ${mount.type}`, `use ${managedTypes.join(', ')}`)];
  const findings = [...writable(mount), ...(config.recall.eventFd === 'rdwr' ? readOnlyViews(mount, all) : []), ...accessTimes(mount), ...ownFolders(mount, config, all), ...(mount.type === 'ext4' ? inodeSize(mount) : [])];
  return findings.length > 0 ? findings : [ok(check, `${path}: ${mount.type} on ${mount.source}, mounted read-write`)];
}

function writable(mount: Mount): Finding[] {
  return mount.options.includes('ro') ? [fail(check, `${mount.path} is mounted read-only: nothing can be recalled`, `mount -o remount,rw ${mount.path}`)] : [];
}

/** The kernel cannot open an event's file for writing through a read-only mount (`recall.event_fd`). */
function readOnlyViews(mount: Mount, all: readonly Mount[]): Finding[] {
  return all
    .filter((each) => each.device === mount.device && each.path !== mount.path && each.options.includes('ro'))
    .map((each) => warn(check, `${each.path} is a read-only view of ${mount.path}: who opens a stub through it gets EPERM`, `set recall.event_fd = "auto" in the config`));
}

function accessTimes(mount: Mount): Finding[] {
  return mount.options.includes('noatime') ? [warn(check, `${mount.path} is mounted noatime: files that are read often look unused`, `mount -o remount,relatime ${mount.path}, or archive with --by mtime knowingly`)] : [];
}

function ownFolders(mount: Mount, config: Config, all: readonly Mount[]): Finding[] {
  const own = { state: config.state, library: config.library.path, config: config.file, socket: dirname(config.socket) };
  return Object.entries(own)
    .filter(([, path]) => mountOf(path, all)?.device === mount.device)
    .map(([what, path]) => fail(check, `the ${what} ${path} is on the managed filesystem ${mount.path}: recalls could wait for themselves`, 'move it to another filesystem'));
}

/** ext4 keeps hsm's 64-byte record inside an inode of 256 bytes, and beside a label only in one of 512. */
function inodeSize(mount: Mount): Finding[] {
  const size = ext4InodeSize(mount.source);
  if (typeof size === 'string') return [warn(check, `${mount.path}: the inode size is not known (${size})`, size === 'no tune2fs' ? 'apt-get install e2fsprogs' : 'run hsm doctor as root')];
  if (size < 256) return [warn(check, `${mount.path} has inodes of ${size} bytes: each stub costs a block of its own`, 'make it anew with mkfs.ext4 -I 256')];
  if (size < 512 && existsSync('/sys/fs/selinux/enforce')) return [warn(check, `${mount.path} has inodes of ${size} bytes and files have SELinux labels: each stub costs a block of its own`, 'make it anew with mkfs.ext4 -I 512')];
  return [];
}

function ext4InodeSize(device: string): number | 'no tune2fs' | 'no access' {
  try {
    const text = execFileSync('tune2fs', ['-l', device], { encoding: 'utf8', timeout: 10_000, stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' } });
    const size = /^Inode size:\s*(\d+)$/m.exec(text)?.[1];
    return size === undefined ? 'no access' : Number(size);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? 'no tune2fs' : 'no access';
  }
}
