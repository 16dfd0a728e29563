/** A volume mounted by the programs of LTFS, which run as children in the foreground and are waited for. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, realpath, rm, statfs, writeFile } from 'node:fs/promises';
import { execa } from 'execa';
import { errorCode, exitCodes, HsmError } from '../errors.ts';
import { ltfsXattrs, volumeError } from '../media/ltfs/layout.ts';
import type { LtfsVolume } from '../media/ltfs/ltfs-volume.ts';
import { mounts } from '../mounts.ts';
import { native } from '../native/index.ts';
import { systemClock, type Clock } from './clock.ts';

type Command = readonly [string, ...string[]];

/** Each with what goes before its arguments. */
export interface LtfsPrograms {
  readonly mkltfs: Command;
  readonly ltfs: Command;
  readonly ltfsck: Command;
}

export const ltfsPrograms: LtfsPrograms = { mkltfs: ['mkltfs'], ltfs: ['ltfs'], ltfsck: ['ltfsck'] };

/** What the programs know a drive by: its serial number; or, with LTFS's file backend, the folder that is the cartridge. */
export interface LtfsDevice {
  readonly name: string;
  readonly backend: 'drive' | 'file';
}

export interface LtfsOptions {
  readonly barcode: string;
  readonly device: LtfsDevice;
  /** A folder of this drive's own. Beside it, in `MOUNTPOINT.pid`, stands the process that has a volume mounted there. */
  readonly mountPoint: string;
  readonly programs?: LtfsPrograms;
  /** How long mounting may take: threading the tape and reading its index. */
  readonly mountTimeoutMs: number;
  /** How long ltfs may take to write its index and let go of the drive. */
  readonly exitTimeoutMs?: number;
  readonly clock?: Clock;
}

const pollMs = 20;
const anHour = 3_600_000;

/**
 * Mounts the volume that is in the drive; one that does not mount at once is given to ltfsck first. What an earlier process has left
 * mounted there is unmounted before. Fails with `EBUSY` when that one does not let go of the drive, `CONFIG` when LTFS is not installed.
 */
export async function mountLtfs(options: LtfsOptions): Promise<LtfsVolume> {
  await mkdir(options.mountPoint, { recursive: true, mode: 0o700 });
  const settled = { ...options, mountPoint: await realpath(options.mountPoint) };
  await freeLtfs(settled);
  const volume = new MountedLtfs(settled);
  await volume.mount();
  return volume;
}

/**
 * A daemon that was killed leaves its ltfs behind: it has the drive until its volume is unmounted and it has ended. Resolves when none is
 * left for the mount point; fails with `EBUSY` when one stays.
 */
export async function freeLtfs(options: Pick<LtfsOptions, 'mountPoint' | 'exitTimeoutMs' | 'clock'>): Promise<void> {
  const clock = options.clock ?? systemClock;
  await unmountAt(options.mountPoint);
  const owner = await readOwner(pidFile(options.mountPoint));
  if (owner === null) return;
  if (!(await until(clock, async () => (await startOf(owner.pid)) !== owner.start, options.exitTimeoutMs ?? anHour))) throw stuck(options.mountPoint, owner.pid);
  await rm(pidFile(options.mountPoint), { force: true });
}

/** Makes a cartridge that nobody has mounted a volume of LTFS: all that is on it is lost. Fails with `EIO`, or `CONFIG` when LTFS is not installed. */
export async function formatLtfs({ barcode, device, programs = ltfsPrograms }: Pick<LtfsOptions, 'barcode' | 'device' | 'programs'>): Promise<void> {
  const backend = device.backend === 'file' ? ['-e', 'file'] : [];
  // LTFS's serial number of a volume has six characters; the name that it bears has the whole barcode.
  await run(programs.mkltfs, [...backend, '-d', device.name, '-s', barcode.slice(0, 6).padEnd(6, '0'), '-n', barcode, '--force'], `mkltfs cannot format ${barcode}`);
}

interface Child {
  readonly pid: number;
  ended: boolean;
}

class MountedLtfs implements LtfsVolume {
  readonly root: string;
  failure: HsmError | null = null;
  readOnly = false;
  readonly #options: LtfsOptions;
  readonly #programs: LtfsPrograms;
  readonly #clock: Clock;
  #child: Child | null = null;

  constructor(options: LtfsOptions) {
    this.root = options.mountPoint;
    this.#options = options;
    this.#programs = options.programs ?? ltfsPrograms;
    this.#clock = options.clock ?? systemClock;
  }

  async mount(): Promise<void> {
    this.failure = await this.#tryMount();
    if (this.failure !== null) {
      // Its exit code tells nothing: whether the volume can be mounted now does.
      await run(this.#programs.ltfsck, [...this.#backend('-e', 'file'), this.#options.device.name], 'ltfsck').catch(() => undefined);
      this.failure = await this.#tryMount();
    }
    this.readOnly = this.failure === null && mountedAt(this.root)?.options.includes('ro') === true;
  }

  async sync(): Promise<void> {
    const what = `LTFS cannot write the index of ${this.#options.barcode}`;
    try {
      const before = await this.#generation();
      await this.#writeIndex();
      const after = await this.#generation();
      if (after <= before) throw new HsmError('EIO', `${what}: its generation is ${after} as before`, { retry: 'other-copy' });
    } catch (cause) {
      throw volumeError(cause, what);
    }
  }

  /** The reference (2.4.8.4) refuses the setting with this scheduler, which has nothing to flush, and then takes the reading of it for the order. */
  async #writeIndex(): Promise<void> {
    try {
      await native.setxattrAsync(this.root, ltfsXattrs.sync, Buffer.from('1'));
    } catch (error) {
      if (errorCode(error) !== 'EINVAL') throw error;
      await native.getxattrAsync(this.root, ltfsXattrs.sync);
    }
  }

  async space(): Promise<{ readonly capacity: number; readonly free: number }> {
    const { bsize, blocks, bavail } = await statfs(this.root);
    return { capacity: bsize * blocks, free: bsize * bavail };
  }

  async format(): Promise<void> {
    await this.unmount();
    await formatLtfs({ ...this.#options, programs: this.#programs });
    await this.mount();
    if (this.failure !== null) throw this.failure;
  }

  async remount(): Promise<void> {
    await this.unmount();
    await this.mount();
  }

  async unmount(): Promise<void> {
    await unmountAt(this.root);
    const child = this.#child;
    if (child === null) return;
    if (!(await until(this.#clock, async () => child.ended, this.#options.exitTimeoutMs ?? anHour))) throw stuck(this.root, child.pid);
    this.#child = null;
    await rm(pidFile(this.root), { force: true });
  }

  /** Null when the volume is mounted, else why it is not. */
  async #tryMount(): Promise<HsmError | null> {
    const { barcode, device, mountTimeoutMs } = this.#options;
    const words = [...this.#backend('-o', 'tape_backend=file'), '-o', `devname=${device.name}`, '-o', 'iosched_backend=fcfs', '-o', 'sync_type=unmount'];
    const child = await this.#start(['-f', ...words, this.root]);
    this.#child = child;
    await until(this.#clock, async () => child.ended || mountedAt(this.root) !== undefined, mountTimeoutMs);
    if (!child.ended && mountedAt(this.root) !== undefined) return null;
    const why = child.ended ? ((await this.#said()) ?? 'it ended') : 'it takes too long';
    await this.unmount();
    return new HsmError('EIO', `LTFS cannot mount ${barcode}: ${why}`, { retry: 'other-copy' });
  }

  /**
   * In a session of its own, its words in a file: neither a signal that ends the daemon nor the daemon's death may end it in the middle of
   * a write.
   */
  async #start(words: readonly string[]): Promise<Child> {
    const [program, ...before] = this.#programs.ltfs;
    const log = await open(logFile(this.root), 'w', 0o600);
    try {
      const running = spawn(program, [...before, ...words], { stdio: ['ignore', log.fd, log.fd], detached: true, env: { ...process.env, LC_ALL: 'C' } });
      const child: Child = { pid: running.pid ?? 0, ended: false };
      running.once('exit', () => {
        child.ended = true;
      });
      await once(running, 'spawn').catch((cause: unknown) => {
        throw errorCode(cause) === 'ENOENT' ? notInstalled(program) : cause;
      });
      running.unref();
      await writeFile(pidFile(this.root), `${child.pid} ${(await startOf(child.pid)) ?? ''}`);
      return child;
    } finally {
      await log.close();
    }
  }

  async #said(): Promise<string | undefined> {
    return lastWords(await readFile(logFile(this.root), 'utf8'));
  }

  #backend(...words: readonly string[]): readonly string[] {
    return this.#options.device.backend === 'file' ? words : [];
  }

  async #generation(): Promise<number> {
    const value = Number((await native.getxattrAsync(this.root, ltfsXattrs.generation))?.toString('latin1') ?? 'none');
    if (!Number.isSafeInteger(value)) throw new HsmError('EIO', `LTFS does not tell the generation of the index of ${this.#options.barcode}`, { retry: 'other-copy' });
    return value;
  }
}

const pidFile = (mountPoint: string): string => `${mountPoint}.pid`;
/** What ltfs said, for operators and for error messages. */
const logFile = (mountPoint: string): string => `${mountPoint}.log`;

const mountedAt = (mountPoint: string) => mounts().find(({ path }) => path === mountPoint);

async function unmountAt(mountPoint: string): Promise<void> {
  if (mountedAt(mountPoint) === undefined) return;
  const { exitCode, stderr } = await execa('umount', [mountPoint], { stdin: 'ignore', reject: false, env: { LC_ALL: 'C' } });
  if (exitCode !== 0 && mountedAt(mountPoint) !== undefined) throw new HsmError('EBUSY', `the volume at ${mountPoint} cannot be unmounted: ${lastWords(stderr) ?? 'umount failed'}`, { retry: 'later' });
}

async function until(clock: Clock, condition: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = clock.now() + timeoutMs;
  while (!(await condition())) {
    if (clock.now() > deadline) return false;
    await clock.sleep(pollMs);
  }
  return true;
}

const stuck = (mountPoint: string, pid: number): HsmError =>
  new HsmError('EBUSY', `ltfs (process ${pid}, at ${mountPoint}) has not let go of its drive after the umount: the cartridge stays in it`, { retry: 'later' });

/** Process id and, since ids are used again, when it started (proc_pid_stat(5)). */
async function readOwner(path: string): Promise<{ readonly pid: number; readonly start: string } | null> {
  try {
    const [pid = '', start = ''] = (await readFile(path, 'utf8')).split(' ');
    return start === '' ? null : { pid: Number(pid), start };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

async function startOf(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? null : (rest[18] ?? null);
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return null;
    throw error;
  }
}

async function run([program, ...before]: Command, words: readonly string[], what: string): Promise<void> {
  const ended = await execa(program, [...before, ...words], { stdin: 'ignore', reject: false, all: true, env: { LC_ALL: 'C' } });
  if (ended.code === 'ENOENT') throw notInstalled(program);
  if (ended.exitCode !== 0) throw new HsmError('EIO', `${what}: ${lastWords(ended.all) ?? ended.shortMessage}`, { retry: 'other-copy' });
}

const notInstalled = (program: string): HsmError =>
  new HsmError('CONFIG', `there is no program ${program}: install LTFS, or set library.format to "tar"`, { exit: exitCodes.usage });

/** The last two messages that are errors, the more general one being the last; else the last line. */
function lastWords(text: string): string | undefined {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const errors = lines.flatMap((line) => /LTFS\d{5}E .*/.exec(line) ?? []);
  return errors.length > 0 ? errors.slice(-2).join(' ') : lines.at(-1);
}
