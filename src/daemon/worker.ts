/** The daemon proper, between its keeper and its clients. */
import type { Config } from '../config.ts';
import { HsmError } from '../errors.ts';
import { createLogger, isLevel } from './log.ts';
import { openDaemon, type Daemon, type KeeperFds } from './daemon.ts';
import { handlersOf, resumeJobs } from './handlers.ts';
import { inherited, leaveToHeir } from './heir.ts';
import { listenForScrapes } from '../monitoring/listener.ts';
import { Tally } from '../monitoring/tally.ts';
import { native } from '../native/index.ts';
import { sayStopped } from '../recall/keeper-client.ts';
import { restorePauses } from './pauses.ts';
import { repairInterrupted } from './repair.ts';
import { operatorGroup } from './operator-group.ts';
import { startControlServer, type ControlServer } from './server.ts';
import { keeperArguments } from './start.ts';
import { mayHaveStubs } from './stubs-left.ts';

/** SIGTERM to exit; the keeper waits 8 s before it kills. */
const stopPatienceMs = 7000;
/** What a daemon that dies forgets of its drives' and volumes' use. */
const flushCountersMs = 30_000;
/** A filesystem without stubs is looked at for so long to be sure. */
const lookPatienceMs = 1500;

/** Resolves when the daemon serves; the process then lives until it is told to stop. */
export async function runWorker(config: Config, fds: KeeperFds): Promise<void> {
  const level = process.env['HSM_LOG'];
  const tally = new Tally();
  const log = tally.counting(createLogger(isLevel(level) ? level : 'info'));
  const daemon = await openDaemon(config, fds, log, tally, () => {
    if (!stopping) leaveToHeir(keeperArguments(config, { ...inherited, generation: fds.generation, managed: fds.managed }), fds);
  });
  restorePauses(daemon);
  const leftovers = await daemon.jobs.leftovers();
  const server = await startControlServer({
    path: config.socket,
    handlers: handlersOf(daemon),
    onError: (error, method) => log.error({ error, method }, 'a request failed'),
  });
  const scrapes = await listenForScrapes({ ...config.metrics, gid: operatorGroup(), exposition: daemon.exposition, log });
  const stop = (): void => {
    scrapes.close();
    daemon.hooks.stop();
    void stopDaemon(daemon, server);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.on('SIGHUP', () => undefined);
  process.on('uncaughtException', (error) => crash(log, error));
  process.on('unhandledRejection', (error) => crash(log, error));
  const idle = config.dismountAfterS;
  if (idle > 0) setInterval(() => daemon.drives.dismountIdle(idle * 1000), Math.min(idle, 10) * 1000).unref();
  setInterval(() => flushCounters(daemon), flushCountersMs).unref();
  daemon.keeper.ready();
  await repairInterrupted(daemon);
  resumeJobs(daemon, leftovers);
}

/** Tells the keeper of a daemon that cannot start whether stubs are to be denied until one can. */
export async function giveUp(fds: KeeperFds): Promise<void> {
  const looks = fds.mounts.map((mountFd) => mayHaveStubs(mountFd, lookPatienceMs));
  sayStopped(fds.socket, (await Promise.all(looks)).includes(true));
}

export function keeperFds(): KeeperFds {
  const text = process.env['HSM_KEEPER'];
  if (text === undefined) throw new HsmError('USAGE', `the daemon is started by the keeper: run 'hsm daemon'`, { exit: 2 });
  const fds = JSON.parse(text) as KeeperFds;
  // No program that the daemon starts gets at the group, or past the guard through a private mount.
  for (const fd of [fds.socket, fds.group, fds.table, ...fds.mounts]) if (fd >= 0) native.closeOnExec(fd);
  return fds;
}

/** A fault of ours: end at once. The keeper keeps the readers and starts the daemon again. */
function crash(log: { error(data: object, message: string): void }, error: unknown): never {
  log.error({ err: error }, 'the daemon failed and starts again');
  process.exit(70);
}

const notCounted = 'counts of drives and volumes were not written';

function flushCounters({ counters, log }: Daemon): void {
  counters.flush().catch((error: unknown) => log.warn({ error }, notCounted));
}

let stopping = false;

async function stopDaemon(daemon: Daemon, server: ControlServer): Promise<void> {
  if (stopping) return;
  stopping = true;
  const { catalog, counters, drives, filesystems, jobs, keeper, library, log, recaller } = daemon;
  setTimeout(() => {
    log.warn({}, 'something did not stop in time: it is left as it is');
    keeper.stopped(true);
    process.exit(0);
  }, stopPatienceMs).unref();
  const work = Promise.allSettled([recaller.stop(), jobs.stop()]);
  await work;
  await server.close();
  await drives.close();
  await library.close();
  await counters.flush().catch((error: unknown) => log.warn({ error }, notCounted));
  let stubsLeft = false;
  for (const { id, mountFd } of filesystems) {
    const { stub, recalling } = await catalog.countStates(id);
    stubsLeft ||= stub + recalling > 0 || (await mayHaveStubs(mountFd, lookPatienceMs));
  }
  await catalog.close();
  keeper.stopped(stubsLeft);
  process.exit(0);
}
