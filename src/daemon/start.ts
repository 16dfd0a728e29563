/** Starts the daemon in this process's place: the keeper, which guards the filesystems and starts the worker. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cataloguePath, type Config } from '../config.ts';
import { HsmError } from '../errors.ts';
import { keeperPath, projectRoot } from '../native/index.ts';

/** Never returns: the process becomes the keeper, so that its pid is the one to send SIGTERM to. */
export function startDaemon(config: Config): never {
  if (process.getuid?.() !== 0) throw new HsmError('EPERM', `hsm daemon must run as root: fanotify permission events need CAP_SYS_ADMIN`);
  if (!existsSync(cataloguePath(config.state))) {
    throw new HsmError('ENOENT', `${cataloguePath(config.state)} does not exist: run 'hsm init' first, or check 'state' in ${config.file}`);
  }
  for (const path of config.filesystems) requireMounted(path);
  mkdirSync(dirname(config.socket), { recursive: true, mode: 0o755 });
  process.execve?.(keeperPath, keeperArguments(config), process.env);
  throw new HsmError('ENOSYS', `${keeperPath} cannot be started`);
}

/** The whole command line of a keeper for this configuration; `group`: adopt that fd, whose last keeper died. */
export function keeperArguments(config: Config, group?: number): string[] {
  return [
    keeperPath,
    ...['--lock', join(config.state, 'daemon.lock')],
    ...['--takeover', join(config.state, 'keeper.sock')],
    ...(group === undefined ? [] : ['--group', String(group)]),
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

function requireMounted(path: string): void {
  const inside = statSync(path, { throwIfNoEntry: false });
  if (inside === undefined) throw new HsmError('ENOENT', `${path} does not exist: mount it, or take it out of 'filesystems'`, { path });
  if (inside.dev === statSync(join(path, '..')).dev) throw new HsmError('ENODEV', `${path} is not mounted: mount it, or take it out of 'filesystems'`, { path });
}
