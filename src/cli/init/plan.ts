/** What `hsm init` will make, after every check that can be made before anything is. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { cataloguePath, defaultStatePath, socketPath } from '../../config.ts';
import { HsmError, refusal, usageError } from '../../errors.ts';
import { filesystemId, managedTypes, type Mount, mountOf, mounts } from '../../mounts.ts';
import type { InitOptions } from '../init.ts';

export interface InitPlan {
  readonly configFile: string;
  readonly state: string;
  /** Folder of a virtual library's cartridges, or of what is kept about a real one. */
  readonly library: string;
  /** Null: a virtual library. */
  readonly scsi: { readonly changer: string | null; readonly drives: readonly string[] } | null;
  readonly filesystems: readonly { readonly path: string; readonly type: string; readonly uuid: string }[];
  readonly drives: number;
  readonly cartridges: number;
  /** Bytes a cartridge. */
  readonly capacity: number;
  readonly timing: InitOptions['timing'];
  readonly format: InitOptions['format'];
}

const capacities = { none: 100 * 2 ** 30, lto8: 12e12, lto9: 18e12 } as const;
const limits = { drives: 64, cartridges: 10_000, socketPath: 95 };

/** Fails with `EPERM` (exit 1), `USAGE` (exit 2) or `REFUSED` (exit 5); nothing is changed. */
export function planInit(configFile: string, options: InitOptions): InitPlan {
  if (process.getuid?.() !== 0) throw new HsmError('EPERM', 'hsm init must run as root: it sets up what the daemon owns');
  if (options.format === 'ltfs' && options.timing !== 'none') throw usageError('--timing is for volumes of tar: LTFS has its own');
  if (options.drives > limits.drives) throw usageError(`--drives can be ${limits.drives} at most`);
  if (options.cartridges > limits.cartridges) throw usageError(`--cartridges can be ${limits.cartridges} at most: add more later with 'hsm tape add'`);
  const all = mounts();
  const managed = [...new Set(options.filesystem.map(realOrMissing))].map((path) => checkFilesystem(path, all));
  const state = settled(options.state ?? defaultStatePath);
  const scsi = realLibrary(options);
  const library = settled(options.library ?? join(state, 'library'));
  const config = settled(configFile);
  if (Buffer.byteLength(socketPath(state)) > limits.socketPath) throw usageError(`${state} is too long a path for a Unix socket in it: name a shorter --state`);
  if (state === library) throw usageError('--state and --library must be different folders');
  for (const [what, path] of [['the state folder', state], ['the library', library], ['the config', config]] as const) refuseOnManaged(what, path, managed, all);
  if (existsSync(config)) throw refusal(`${config} exists: hsm is set up already, or name another file with --config`, config);
  const catalogue = cataloguePath(state);
  if (existsSync(catalogue)) throw refusal(`${catalogue} exists: name another --state, or move the old catalogue away`, catalogue);
  requireFolder(state);
  refuseFilled(library);
  return {
    configFile: config,
    state,
    library,
    scsi,
    filesystems: managed.map((mount) => ({ path: mount.path, type: mount.type, uuid: filesystemId(mount) })),
    drives: scsi?.drives.length ?? options.drives,
    cartridges: scsi === null ? options.cartridges : 0,
    capacity: options.capacity ?? capacities[options.timing],
    timing: options.timing,
    format: options.format,
  };
}

function realLibrary({ library, changer, drive = [] }: InitOptions): InitPlan['scsi'] {
  if (changer === undefined && drive.length === 0) {
    if (library === undefined) throw usageError('name a library: --library DIR for a virtual one, --drive DEVICE for a real one, with --changer DEVICE if it has a robot');
    return null;
  }
  if (library !== undefined) throw usageError(`--library makes a virtual library: leave it out with ${changer === undefined ? '--drive' : '--changer'}`);
  if (drive.length === 0) throw usageError('name at least one --drive of the robot');
  for (const device of [...(changer === undefined ? [] : [changer]), ...drive]) {
    if (statSync(device, { throwIfNoEntry: false })?.isCharacterDevice() !== true) throw new HsmError('ENODEV', `${device} is no device: look in /dev/tape/by-id, or 'modprobe st ch'`, { path: device });
  }
  if (new Set(drive).size < drive.length) throw usageError('a --drive is named twice');
  return { changer: changer === undefined ? null : resolve(changer), drives: drive.map((device) => resolve(device)) };
}

function realOrMissing(path: string): string {
  if (path === '') throw usageError('--filesystem is empty: check the variable that it came from');
  try {
    return realpathSync(path);
  } catch {
    throw new HsmError('ENOENT', `${path} does not exist: name the mount point of a filesystem`, { path });
  }
}

function checkFilesystem(path: string, all: readonly Mount[]): Mount {
  const mount = mountOf(path, all);
  if (mount === undefined) throw new HsmError('ENOENT', `no mount is seen at ${path}`, { path });
  if (mount.path !== path) throw usageError(`${path} is not a mount point: it is a folder of the filesystem at ${mount.path}; hsm manages whole filesystems of their own`);
  if (path === '/' || mount.device === mountOf('/', all)?.device) throw refusal(`${path} is the root filesystem: hsm manages only filesystems that the system can run without`, path);
  if (!managedTypes.includes(mount.type)) throw refusal(`${path} is ${mount.type}: hsm manages ${managedTypes.join(', ')}`, path);
  if (mount.type !== 'btrfs' && mount.root !== '/') throw refusal(`${path} shows only ${mount.root} of its filesystem: name the mount point of the whole`, path);
  if (mount.options.includes('ro')) throw refusal(`${path} is mounted read-only: remount it with -o remount,rw`, path);
  return mount;
}

/** An absolute path whose existing part has no symbolic links. */
function settled(path: string): string {
  if (path === '') throw usageError('a path is empty: check the variable that it came from');
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    return join(settled(dirname(absolute)), basename(absolute));
  }
}

/** What the daemon needs to recall must never wait for a recall itself. */
function refuseOnManaged(what: string, path: string, managed: readonly Mount[], all: readonly Mount[]): void {
  const mount = mountOf(path, all);
  const on = managed.find((each) => each.device === mount?.device);
  if (on !== undefined) throw refusal(`${what} ${path} would be on the managed filesystem ${on.path}: put it on another one`, path);
}

function requireFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === false) throw refusal(`${path} is not a folder: name another --state`, path);
}

function refuseFilled(library: string): void {
  const stat = statSync(library, { throwIfNoEntry: false });
  if (stat === undefined) return;
  const filled = !stat.isDirectory() || readdirSync(library).some((name) => name !== 'lost+found');
  if (filled) throw refusal(`${library} is not an empty folder: name another --library, or clear it if an earlier init was cut short`, library);
}
