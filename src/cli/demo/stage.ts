/** What the demo plays on: an image file, a loop mount, a daemon; and how all of it goes away again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, lstatSync, mkdirSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { HsmError } from '../../errors.ts';
import { native, projectRoot } from '../../native/index.ts';
import { stubXattr } from '../../stub.ts';
import type { FilePrint } from './corpus.ts';
import type { Narrator } from './narrator.ts';
import { type DemoType, searchPath } from './tools.ts';

const imageSize = '1536M';
const roomNeeded = 2 ** 30;
const limitMs = 120_000;

const format: Readonly<Record<DemoType, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F', '-E', 'nodiscard'],
  xfs: ['mkfs.xfs', '-q', '-f', '-K'],
  btrfs: ['mkfs.btrfs', '-q', '-f', '-K'],
};

export class Stage {
  readonly type: DemoType;
  readonly say: Narrator;
  readonly folder: string;
  readonly mount: string;
  readonly #image: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #taken = new Set<string>();
  #daemon: ChildProcess | null = null;
  #current: { kill(signal: 'SIGTERM'): boolean } | null = null;
  #interrupted = false;

  constructor(type: DemoType, say: Narrator) {
    this.type = type;
    this.say = say;
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), 'hsm-demo-')));
    this.mount = join(this.folder, 'data');
    this.#image = join(this.folder, 'image');
    this.#env = { ...process.env, PATH: searchPath, HSM_CONFIG: join(this.folder, 'hsm.toml'), LC_ALL: 'C.UTF-8' };
  }

  get library(): string {
    return join(this.folder, 'tapes');
  }

  get state(): string {
    return join(this.folder, 'state');
  }

  /** Where to look, and what to end: the daemon's pid. */
  get place(): { readonly folder: string; readonly config: string; readonly mount: string; readonly pid: number | null } {
    return { folder: this.folder, config: join(this.folder, 'hsm.toml'), mount: this.mount, pid: this.#daemon?.pid ?? null };
  }

  /** Ends what runs now; every later step fails. */
  interrupt(): void {
    this.#interrupted = true;
    this.#current?.kill('SIGTERM');
  }

  async mountFilesystem(): Promise<void> {
    const { bavail, bsize } = statfsSync(this.folder);
    if (bavail * bsize < roomNeeded) throw new HsmError('ENOSPC', `the demo needs 1 GiB below ${tmpdir()}: make room there, or set TMPDIR`);
    mkdirSync(this.mount);
    await this.#run('truncate', ['-s', imageSize, this.#image]);
    await this.#run(format[this.type][0] ?? '', [...format[this.type].slice(1), this.#image]);
    await this.#run('mount', ['-o', 'loop', this.#image, this.mount]);
  }

  /** Starts `hsm daemon` and waits until it is ready. It has a session of its own, so that ^C ends it in good order, after its clients. */
  async startDaemon(): Promise<void> {
    this.say.command('hsm daemon &');
    const log = join(this.folder, 'daemon.log');
    const out = openSync(log, 'a');
    const daemon = spawn(`${projectRoot}bin/hsm`, ['daemon'], { env: this.#env, stdio: ['ignore', out, out], detached: true });
    closeSync(out);
    this.#daemon = daemon;
    daemon.on('error', () => undefined);
    for (let i = 0; !readFileSync(log, 'utf8').includes('ready\n'); i += 1) {
      const last = readFileSync(log, 'utf8').trim().split('\n').at(-1) ?? '';
      if (daemon.exitCode !== null || daemon.signalCode !== null) throw new HsmError('NO_DAEMON', `the daemon did not start: ${last}`);
      if (i > 1500) throw new HsmError('NO_DAEMON', `the daemon was not ready within 30 s: ${last}`);
      this.#requireUninterrupted();
      await sleep(20);
    }
    this.say.text('ready');
  }

  /** Runs hsm as a user would; its output is shown. */
  async hsm(...args: readonly string[]): Promise<void> {
    for (const line of await this.#hsmLines(args)) this.say.text(line);
  }

  /** The same, showing only the first lines. */
  async hsmHead(count: number, ...args: readonly string[]): Promise<void> {
    const lines = await this.#hsmLines(args);
    for (const line of lines.slice(0, count)) this.say.text(line);
    if (lines.length > count) this.say.text(`... and ${(lines.length - count).toLocaleString('en-US')} more`);
  }

  async #hsmLines(args: readonly string[]): Promise<string[]> {
    this.say.command(`hsm ${args.map((arg) => this.quote(arg)).join(' ')}`);
    const { stdout } = await this.#run(`${projectRoot}bin/hsm`, args, { showErrors: true });
    return stdout.split('\n');
  }

  /** Runs a script in the filesystem's root; long ones are shown cut. */
  async shell(script: string): Promise<void> {
    this.say.command(script.length > 100 ? `${script.slice(0, 97)}...` : script);
    const { stdout } = await this.#run('bash', ['-o', 'pipefail', '-ec', script], { cwd: this.mount });
    if (stdout !== '') this.say.text(stdout);
  }

  async timed(step: () => Promise<void>): Promise<{ ms: number }> {
    const start = performance.now();
    await step();
    return { ms: Math.max(1, performance.now() - start) };
  }

  async countStubs(): Promise<number> {
    const { stdout } = await this.#run(`${projectRoot}bin/hsm`, ['ls', '-R', '--json', this.mount]);
    return stdout.split('\n').filter((line) => line.includes('"state":"stub"')).length;
  }

  /** Names that are stubs now, were not given out before, and are small enough to wait for. */
  someStubs(count: number, before: ReadonlyMap<string, FilePrint>): string[] {
    const names: string[] = [];
    for (const [name, { size }] of before) {
      if (names.length >= count) break;
      if (this.#taken.has(name) || name.startsWith('bin/') || size > 2 ** 23 || !this.#isStub(name)) continue;
      this.#taken.add(name);
      names.push(name);
    }
    return names;
  }

  /** Gives a folder for copies of files, with their folders in it, and takes it away again. */
  async inCopyFolder(names: readonly string[], use: (folder: string) => Promise<void>): Promise<void> {
    const copies = join(this.folder, 'copies');
    for (const name of names) mkdirSync(dirname(join(copies, name)), { recursive: true });
    try {
      await use(copies);
    } finally {
      rmSync(copies, { recursive: true, force: true });
    }
  }

  bytesOnTapeOnly(before: ReadonlyMap<string, FilePrint>): number {
    return [...before].filter(([name]) => this.#isStub(name)).reduce((sum, [, { size }]) => sum + size, 0);
  }

  /** Bytes of disk blocks that files have, once all is written. */
  async usedBytes(names: Iterable<string>): Promise<number> {
    await this.#run('sync', ['-f', this.mount]);
    let blocks = 0;
    for (const name of names) blocks += lstatSync(join(this.mount, name)).blocks;
    return blocks * 512;
  }

  /** A word for the shell. */
  quote(text: string): string {
    return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
  }

  /** For --keep: says how to clean up. */
  leave(): void {
    this.#daemon?.unref();
    const { config, folder, mount, pid } = this.place;
    this.say.text(`\nAll of it is left in place. To look around:\n  export HSM_CONFIG=${this.quote(config)}\n  hsm ls -lR ${this.quote(mount)}`);
    this.say.text(`To clean up:\n  kill ${pid ?? ''}; while kill -0 ${pid ?? ''} 2>/dev/null; do sleep 0.1; done; umount ${this.quote(mount)} && rm -r ${this.quote(folder)}`);
  }

  /** Takes everything down in reverse. What cannot be taken down is named, and the folder is then left. */
  async clean(): Promise<void> {
    await this.#stopDaemon();
    const run = (file: string, args: readonly string[]) => execa(file, [...args], { env: this.#env, reject: false, timeout: 30_000 });
    const { stdout: devices } = await run('losetup', ['-nO', 'NAME', '-j', this.#image]);
    if (existsSync(this.mount)) await run('umount', [this.mount]);
    // The keeper that guarded the stubs lets go of the filesystem once its last mount is gone, and the loop device with it.
    for (let i = 0; i < 100 && (await run('losetup', ['-nO', 'NAME', '-j', this.#image])).stdout.trim() !== ''; i += 1) await sleep(100);
    const { stdout: left } = await run('losetup', ['-nO', 'NAME', '-j', this.#image]);
    if (left.trim() !== '') {
      for (const device of devices.split('\n').filter((each) => each.trim() !== '')) await run('losetup', ['-d', device.trim()]);
      process.stderr.write(`hsm: ${this.mount} is still in use: when it is not, umount ${this.mount} && rm -r ${this.folder}\n`);
      return;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #stopDaemon(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon?.pid === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const ended = once(daemon, 'exit');
    const killer = setTimeout(() => daemon.kill('SIGKILL'), 20_000);
    daemon.kill('SIGTERM');
    await ended;
    clearTimeout(killer);
  }

  #requireUninterrupted(): void {
    if (this.#interrupted) throw new HsmError('EINTR', 'interrupted');
  }

  #isStub(name: string): boolean {
    return native.getxattr(Buffer.from(join(this.mount, name)), stubXattr) !== null;
  }

  async #run(file: string, args: readonly string[], options: { readonly cwd?: string; readonly showErrors?: boolean } = {}): Promise<{ stdout: string }> {
    this.#requireUninterrupted();
    const child = execa(file, [...args], {
      env: this.#env,
      cwd: options.cwd ?? this.folder,
      stdin: 'ignore',
      stderr: options.showErrors === true && !this.say.silent ? ['inherit', 'pipe'] : 'pipe',
      timeout: limitMs,
      maxBuffer: 2 ** 28,
      reject: false,
    });
    this.#current = child;
    const { exitCode, stdout, stderr, timedOut } = await child;
    this.#current = null;
    if (exitCode === 0) return { stdout: String(stdout) };
    const why = timedOut ? `took longer than ${limitMs / 1000} s` : `failed with ${exitCode ?? 'a signal'}`;
    throw new HsmError('DEMO', `${file} ${args[0] ?? ''} ${why}: ${String(stderr).trim().split('\n').at(-1) ?? ''}`);
  }
}
