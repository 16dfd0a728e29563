/** Mounts a managed filesystem so that nobody can open a stub in it before it is guarded. */
import { execFile } from 'node:child_process';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cataloguePath, type Config } from '../config.ts';
import { errorCode, exitCodes, HsmError, refusal, usageError } from '../errors.ts';
import { managedTypes, mountOf } from '../mounts.ts';
import { connect } from './client.ts';
import type { Status } from './protocol.ts';
import { keeperArguments, lockPath } from './start.ts';

export interface MountRequest {
  /** Of the block device, or `UUID=`, `LABEL=` and the like. */
  readonly source: string;
  readonly dir: string;
  /** null: as on the device. */
  readonly type: string | null;
  readonly settings: readonly string[];
  readonly attributes: number;
}

export interface Mounted {
  readonly source: string;
  readonly path: string;
  readonly type: string;
  /** Whether stubs come back, or are refused (EAGAIN) until `hsm daemon` starts. */
  readonly guardedBy: 'daemon' | 'denier';
}

const run = promisify(execFile);
/** A daemon that starts or ends is waited for. */
const patienceMs = 30_000;
const pauseMs = 100;

/**
 * With a daemon, its keeper's group guards the filesystem. Without one, a denier is started, or the one that is there is joined: it refuses
 * every stub with EAGAIN until a daemon takes over. Fails with `EPERM`, `USAGE`, `NOT_MANAGED`, `ENOENT`, `EBUSY`, or what the kernel says.
 */
export async function mountGuarded(config: Config, request: MountRequest): Promise<Mounted> {
  if (process.getuid?.() !== 0) throw new HsmError('EPERM', 'only root may mount filesystems');
  const path = managedFolder(config, request.dir);
  if (![cataloguePath(config.state), lockPath(config.state)].some((file) => existsSync(file))) {
    throw new HsmError('ENOENT', `${cataloguePath(config.state)} does not exist: the state folder must be mounted before ${path} (x-systemd.requires-mounts-for=${config.state} in fstab)`);
  }
  const source = await deviceOf(request.source);
  const type = request.type ?? (await typeOf(source));
  if (!managedTypes.includes(type)) throw refusal(`${source} is ${type}: hsm manages ${managedTypes.join(', ')}`, source);
  if (mountOf(path)?.path === path && mountOf(path)?.source === source) throw new HsmError('EBUSY', `${source} is mounted at ${path} already`, { path });
  const words = [
    ...['--mount-source', source, '--mount-type', type, '--mount-at', path],
    ...request.settings.flatMap((setting) => ['--mount-set', setting]),
    ...['--mount-attributes', String(request.attributes)],
  ];
  const keeper = await throughKeeper(config, path, words);
  return { source, path, type, guardedBy: keeper };
}

function managedFolder(config: Config, dir: string): string {
  let path: string;
  try {
    path = realpathSync(dir);
  } catch (error) {
    throw new HsmError(errorCode(error), `${dir} does not exist: make it first`, { path: dir, cause: error });
  }
  if (!statSync(path).isDirectory()) throw new HsmError('ENOTDIR', `${path} is no directory`, { path });
  if (config.filesystems.includes(path)) return path;
  throw new HsmError('NOT_MANAGED', `${path} is none of the filesystems of ${config.file} (${config.filesystems.join(', ')}): use mount -t ext4, xfs or btrfs for what hsm does not manage`, { path });
}

async function deviceOf(spec: string): Promise<string> {
  const path = /^(UUID|LABEL|PARTUUID|PARTLABEL|ID)=/.test(spec) ? await found(spec) : spec;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new HsmError('ENOENT', `${path} does not exist`, { path });
  if (!stat.isBlockDevice()) throw usageError(`${path} is no block device: make one of a file with losetup --find --show FILE`);
  return path;
}

const tool = async (name: string, ...words: string[]): Promise<string> => {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  return (await run(name, words, { timeout: patienceMs, env })).stdout.trim();
};

async function found(spec: string): Promise<string> {
  try {
    return await tool('findfs', spec);
  } catch (error) {
    throw new HsmError('ENOENT', `no device has ${spec}`, { cause: error });
  }
}

async function typeOf(device: string): Promise<string> {
  let type = '';
  try {
    type = await tool('blkid', '-p', '-o', 'value', '-s', 'TYPE', device);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') throw new HsmError('ENOENT', `blkid is missing: name the type of ${device} with -t`, { cause: error });
  }
  if (type === '') throw new HsmError('EINVAL', `no filesystem is found on ${device}: name its type with -t if you are sure`, { path: device });
  return type;
}

async function throughKeeper(config: Config, path: string, words: readonly string[]): Promise<Mounted['guardedBy']> {
  for (const deadline = Date.now() + patienceMs; ; await sleep(pauseMs)) {
    const keeper = await runningKeeper(config.socket, path);
    const [command = '', ...usual] = keeperArguments(config);
    try {
      await run(command, [...words, ...(keeper === null ? [] : ['--mount-under', String(keeper)]), ...usual], { cwd: '/' });
      return keeper === null ? 'denier' : 'daemon';
    } catch (error) {
      const { code, stderr = '' } = error as { code?: unknown; stderr?: string };
      if (code === exitCodes.refused && Date.now() < deadline) continue;
      const line = stderr.replace(/^hsm: /, '').trim();
      throw new HsmError('EMOUNT', line === '' ? `${command} failed` : line, { cause: error });
    }
  }
}

/** The pid of the keeper of a daemon that answers. Fails with `REFUSED` when that does not manage the path. */
async function runningKeeper(socket: string, path: string): Promise<number | null> {
  let client;
  try {
    client = await connect(socket);
  } catch (error) {
    if (errorCode(error) === 'NO_DAEMON') return null;
    throw error;
  }
  try {
    const { filesystems, keeper } = (await client.call('status')) as Status;
    // Its keeper would guard it and know nothing of it: what is left behind after a stop would let it go.
    if (!filesystems.some((each) => each.path === path)) throw refusal(`the running daemon does not know ${path} yet: restart hsm daemon first`, path);
    return keeper.pid;
  } catch (error) {
    if (errorCode(error) === 'NO_DAEMON') return null;
    throw error;
  } finally {
    client.close();
  }
}
