/** Starts the daemon in this process's place: the keeper, which guards the filesystems and starts the worker. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '../config.ts';
import { HsmError } from '../errors.ts';
import { keeperPath, native, projectRoot } from '../native/index.ts';

/** Never returns: the process becomes the keeper, so that its pid is the one to send SIGTERM to. */
export function startDaemon(config: Config, { json }: { readonly json: boolean }): never {
  if (process.getuid?.() !== 0) throw new HsmError('EPERM', `hsm daemon must run as root: fanotify permission events need CAP_SYS_ADMIN`);
  // Whatever else is missing: stubs are guarded first.
  if (!existsSync(config.state)) throw new HsmError('ENOENT', `${config.state} does not exist: run 'hsm init' first, or check 'state' in ${config.file}`);
  requireOneMounted(config.filesystems);
  mkdirSync(dirname(config.socket), { recursive: true, mode: 0o755 });
  const [command = '', ...words] = keeperArguments(config);
  process.execve?.(keeperPath, [command, ...(json ? ['--json'] : []), ...storedHoldings(), ...words], daemonEnvironment(config));
  throw new HsmError('ENOSYS', `${keeperPath} cannot be started`);
}

/**
 * A drive that moves its tape holds one of libuv's threads for minutes (MTSEEK, MTLOAD), another may be asked for its state meanwhile: with the four
 * that there are by default nothing would be left for files. An operator's own UV_THREADPOOL_SIZE stays.
 */
export function daemonEnvironment({ library }: Pick<Config, 'library'>, environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const drives = library.kind === 'scsi' ? library.drives.length : 0;
  return { UV_THREADPOOL_SIZE: String(defaultThreads + 2 * drives), ...environment };
}

/** libuv's own. */
const defaultThreads = 4;

/** What the service manager's fd store brings back of a keeper that is gone, as words for the next one (sd_listen_fds_with_names(3)). */
export function storedHoldings(): string[] {
  const { LISTEN_PID, LISTEN_FDNAMES = '' } = process.env;
  if (Number(LISTEN_PID) !== process.pid) return [];
  const names = LISTEN_FDNAMES.split(':');
  const fds = ['hsm-group', 'hsm-table'].map((name) => names.lastIndexOf(name)).map((index) => (index < 0 ? -1 : firstListenFd + index));
  if (fds.includes(-1)) return [];
  for (const fd of fds) native.keepAcrossExec(fd);
  return ['--stored-group', String(fds[0]), '--stored-table', String(fds[1])];
}

/** What a keeper that died leaves to the process that inherits from it. */
interface Inheritance {
  readonly group: number;
  readonly table: number;
  readonly generation: number;
  readonly managed: boolean;
}

/** SD_LISTEN_FDS_START */
const firstListenFd = 3;

/** Whose lock makes a daemon the only one. */
export const lockPath = (state: string): string => join(state, 'daemon.lock');

/** The whole command line of a keeper for this configuration. */
export function keeperArguments(config: Config, inheritance?: Inheritance): string[] {
  return [
    keeperPath,
    ...['--lock', lockPath(config.state)],
    ...['--takeover', join(config.state, 'keeper.sock')],
    ...['--event-fd', config.recall.eventFd === 'rdwr' ? 'rdwr' : 'rdonly'],
    ...(inheritance === undefined ? [] : ['--group', String(inheritance.group), '--table', String(inheritance.table), '--generation', String(inheritance.generation)]),
    ...(inheritance?.managed === true ? ['--managed'] : []),
    ...config.filesystems.flatMap((path) => ['--filesystem', path]),
    '--',
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    // Memory matters more than speed in a daemon that leaves the work to threads.
    ...['--optimize-for-size', '--max-semi-space-size=4'],
    `${projectRoot}dist/daemon/main.js`,
    config.file,
  ];
}

/** Those that are not mounted yet are guarded when they are. */
function requireOneMounted(paths: readonly string[]): void {
  const problems = paths.map(problemOf);
  const [first] = problems;
  if (first !== undefined && first !== null && !problems.includes(null)) throw first;
}

function problemOf(path: string): HsmError | null {
  const inside = statSync(path, { throwIfNoEntry: false });
  if (inside === undefined) return new HsmError('ENOENT', `${path} does not exist: mount it, or take it out of 'filesystems'`, { path });
  if (inside.dev === statSync(join(path, '..')).dev) return new HsmError('ENODEV', `${path} is not mounted: mount it, or take it out of 'filesystems'`, { path });
  return null;
}
