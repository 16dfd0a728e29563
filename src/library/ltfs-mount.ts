/** A volume mounted by the programs of LTFS, which run as children in the foreground and are waited for. */
import { mkdir, readFile, realpath, rm, statfs, writeFile } from 'node:fs/promises';
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
  const volume = new MountedLtfs({ ...options, mountPoint: await realpath(options.mountPoint) });
  await volume.takeOver();
  await volume.mount();
  return volume;
}

/** Makes a cartridge that nobody has mounted a volume of LTFS: all that is on it is lost. Fails with `EIO`, or `CONFIG` when LTFS is not installed. */
export async function formatLtfs({ barcode, device, programs = ltfsPrograms }: Pick<LtfsOptions, 'barcode' | 'device' | 'programs'>): Promise<void> {
  const backend = device.backend === 'file' ? ['-e', 'file'] : [];
  // LTFS's serial number of a volume has six characters; the name that it bears has the whole barcode.
  await run(programs.mkltfs, [...backend, '-d', device.name, '-s', barcode.slice(0, 6).padEnd(6, '0'), '-n', barcode, '--force'], `mkltfs cannot format ${barcode}`);
}

interface Child {
  readonly pid: number;
  /** Null while it runs; then what it said last. */
  ended: string | null;
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
    this.readOnly = this.failure === null && this.#mounted()?.options.includes('ro') === true;
  }

  /** A daemon that was killed leaves its ltfs behind: it has the drive until its volume is unmounted and it has ended. */
  async takeOver(): Promise<void> {
    await this.#detach();
    const before = await readOwner(this.#pidFile);
    if (before !== null && !(await this.#until(async () => (await startOf(before.pid)) !== before.start, this.#exitTimeout))) throw this.#stuck(before.pid);
    await rm(this.#pidFile, { force: true });
  }

  async sync(): Promise<void> {
    const what = `LTFS cannot write the index of ${this.#options.barcode}`;
    try {
      const before = await this.#generation();
      await native.setxattrAsync(this.root, ltfsXattrs.sync, Buffer.from('1'));
      const after = await this.#generation();
      if (after <= before) throw new HsmError('EIO', `${what}: its generation is ${after} as before`, { retry: 'other-copy' });
    } catch (cause) {
      throw volumeError(cause, what);
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

  async unmount(): Promise<void> {
    await this.#detach();
    const child = this.#child;
    if (child === null) return;
    if (!(await this.#until(async () => child.ended !== null, this.#exitTimeout))) throw this.#stuck(child.pid);
    this.#child = null;
    await rm(this.#pidFile, { force: true });
  }

  /** Null when the volume is mounted, else why it is not. */
  async #tryMount(): Promise<HsmError | null> {
    const { barcode, device, mountTimeoutMs } = this.#options;
    const words = [...this.#backend('-o', 'tape_backend=file'), '-o', `devname=${device.name}`, '-o', 'iosched_backend=fcfs', '-o', 'sync_type=unmount'];
    const child = await this.#start(['-f', ...words, this.root]);
    this.#child = child;
    const settled = await this.#until(async () => child.ended !== null || this.#mounted() !== undefined, mountTimeoutMs);
    if (settled && child.ended === null) return null;
    await this.unmount().catch(() => undefined);
    return new HsmError('EIO', `LTFS cannot mount ${barcode}: ${child.ended ?? 'it takes too long'}`, { retry: 'other-copy' });
  }

  /** In a session of its own: a signal that ends the daemon must not end it in the middle of a write. */
  async #start(words: readonly string[]): Promise<Child> {
    const [program, ...before] = this.#programs.ltfs;
    const running = execa(program, [...before, ...words], { stdin: 'ignore', reject: false, all: true, buffer: false, detached: true, env: { LC_ALL: 'C' } });
    let said = '';
    running.all.on('data', (chunk: Buffer) => {
      said = `${said}${chunk.toString()}`.slice(-4096);
    });
    if (running.pid === undefined) throw notInstalled(program);
    const child: Child = { pid: running.pid, ended: null };
    void running.then((result) => {
      child.ended = lastLine(said) ?? result.shortMessage ?? 'it ended';
    });
    await writeFile(this.#pidFile, `${child.pid} ${(await startOf(child.pid)) ?? ''}`);
    return child;
  }

  async #detach(): Promise<void> {
    if (this.#mounted() === undefined) return;
    const { exitCode, stderr } = await execa('umount', [this.root], { stdin: 'ignore', reject: false, env: { LC_ALL: 'C' } });
    if (exitCode !== 0 && this.#mounted() !== undefined) throw new HsmError('EBUSY', `${this.#options.barcode} cannot be unmounted: ${lastLine(stderr) ?? `umount failed`}`, { retry: 'later' });
  }

  #mounted() {
    return mounts().find(({ path }) => path === this.root);
  }

  #backend(...words: readonly string[]): readonly string[] {
    return this.#options.device.backend === 'file' ? words : [];
  }

  async #generation(): Promise<number> {
    const value = Number((await native.getxattrAsync(this.root, ltfsXattrs.generation))?.toString('latin1') ?? 'none');
    if (!Number.isSafeInteger(value)) throw new HsmError('EIO', `LTFS does not tell the generation of the index of ${this.#options.barcode}`, { retry: 'other-copy' });
    return value;
  }

  async #until(condition: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
    const deadline = this.#clock.now() + timeoutMs;
    while (!(await condition())) {
      if (this.#clock.now() > deadline) return false;
      await this.#clock.sleep(pollMs);
    }
    return true;
  }

  get #pidFile(): string {
    return `${this.root}.pid`;
  }

  get #exitTimeout(): number {
    return this.#options.exitTimeoutMs ?? anHour;
  }

  #stuck(pid: number): HsmError {
    return new HsmError('EBUSY', `ltfs (process ${pid}) has not let go of ${this.#options.barcode} after its umount: the cartridge stays in the drive`, { retry: 'later' });
  }
}

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
  if (ended.exitCode !== 0) throw new HsmError('EIO', `${what}: ${lastLine(ended.all) ?? ended.shortMessage}`, { retry: 'other-copy' });
}

const notInstalled = (program: string): HsmError =>
  new HsmError('CONFIG', `there is no program ${program}: install LTFS, or set library.format to "tar"`, { exit: exitCodes.usage });

function lastLine(text: string): string | undefined {
  return text
    .split('\n')
    .map((line) => line.trim())
    .findLast((line) => line !== '');
}
