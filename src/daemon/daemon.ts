/** Everything that a running daemon holds, opened in order and closed in reverse. */
import { closeSync, existsSync } from 'node:fs';
import { openCatalog } from '../catalog/index.ts';
import type { Catalog } from '../catalog/model.ts';
import { cataloguePath, type Config } from '../config.ts';
import { HsmError } from '../errors.ts';
import { requestText, type OperatorRequest } from '../library/changer.ts';
import { DrivePool } from '../library/drive-pool.ts';
import { DriveRates } from './drive-rates.ts';
import { MediaCounters } from '../library/media-counters.ts';
import { openLibrary, type CartridgeLibrary } from '../library/open-library.ts';
import { type FilesystemChange, KeeperClient, type KeeperEvents, type Overflows } from '../recall/keeper-client.ts';
import { Recaller } from '../recall/recaller.ts';
import type { Log } from '../recall/recaller-options.ts';
import { Exposition } from '../monitoring/exposition.ts';
import { FailureDigest } from '../monitoring/failure-digest.ts';
import { openHooks, type Hooks } from '../monitoring/hooks/hooks.ts';
import type { Tally } from '../monitoring/tally.ts';
import type { ManagedFilesystem } from '../recall/restorer.ts';
import { filesystemAt, isAnother } from './filesystem-at.ts';
import { Cleaning } from './cleaning.ts';
import { MediaFailures } from './media-failures.ts';
import { MediaHealth } from './media-health.ts';
import { driveKey } from './media-use.ts';
import { applyChange, sourceOf } from './filesystems.ts';
import { InodeLocks } from './inode-locks.ts';
import { Jobs } from './jobs.ts';
import { JobFolder } from './kept-jobs.ts';
import { collectMetrics } from './metrics.ts';
import { overheard } from './overheard.ts';
import { tapeKnowledge } from './tape-knowledge.ts';

const rateMs = 1000;

/** The fds that the keeper hands its worker (native/keeper/worker.cc), from the environment variable HSM_KEEPER. */
export interface KeeperFds {
  readonly socket: number;
  readonly group: number;
  /** The keeper's table of unanswered events. */
  readonly table: number;
  /** Which keeper of that table this is. */
  readonly generation: number;
  /** Whether the kernel asks at every access, or (before Linux 6.14) at open only. */
  readonly guard: 'pre-access' | 'open-only';
  /** A service manager starts the daemon again when its keeper dies. */
  readonly managed: boolean;
  /** Errors at the start are JSON objects. */
  readonly json: boolean;
  /** One per filesystem of the configuration, in its order; -1 for those that are not mounted. */
  readonly mounts: readonly number[];
}

export interface DaemonFilesystem extends ManagedFilesystem {
  readonly type: string;
  readonly locks: InodeLocks;
  readonly uuid: string;
  /** -1 while the filesystem is not held. */
  mountFd: number;
  view: FilesystemChange['view'];
  /** `major:minor`; null before the keeper told. */
  superblock: string | null;
  /** Its device, as last mounted. */
  source: string | null;
  unguardedSince: Date | null;
}

export interface Daemon {
  readonly config: Config;
  readonly log: Log;
  readonly startedAt: Date;
  readonly groupFd: number;
  readonly guard: KeeperFds['guard'];
  readonly catalog: Catalog;
  readonly library: CartridgeLibrary;
  readonly drives: DrivePool;
  readonly counters: MediaCounters;
  readonly rates: DriveRates;
  readonly cleaning: Cleaning;
  readonly filesystems: readonly DaemonFilesystem[];
  readonly keeper: KeeperClient;
  readonly recaller: Recaller;
  readonly jobs: Jobs;
  /** Null: none, as it should be. */
  readonly overflows: () => Overflows | null;
  /** Of the keeper's table of unanswered events. */
  readonly tableFd: number;
  readonly exposition: Exposition;
  readonly hooks: Hooks;
}

const rememberedJobs = 1000;

/** Of a daemon that wants to be started again; any code but 0 does. */
const restartExit = 75;

export async function openDaemon(config: Config, fds: KeeperFds, log: Log, tally: Tally, onKeeperClosed: () => void): Promise<Daemon> {
  const hooks = openHooks(config, log, (hook, result) => tally.hookEnded(hook, result));
  const catalog = overheard(openCatalog(existing(cataloguePath(config.state), config)), (kind, uid, data) => {
    tally.happened(kind, uid, data, Date.now());
    hooks.happened(kind, uid, data);
  });
  const record = (kind: string, data: object): void => void catalog.logEvent(kind, null, data).catch((error: unknown) => log.error({ error, kind }, 'an event was not recorded'));
  const digest = new FailureDigest((failures) => record('recalls-failed', failures));
  const filesystems = await matchFilesystems(config, catalog, fds);
  const library: CartridgeLibrary = await openLibrary(config.library, {
    onTold: (told) => void health.told(told, drives),
    onRequest: (request) => askOperator(request, catalog, log),
    onWithdrawn: (request, reason) => withdraw(request, reason, catalog, log),
    mayBeBlank: async (barcode) => (await catalog.volume(barcode))?.state === 'scratch',
  });
  const failures = await MediaFailures.open(catalog, log);
  const counters = new MediaCounters(catalog, (drive) => driveKey(library, drive));
  const health = new MediaHealth({
    catalog,
    counters,
    failures,
    log,
    driveKey: (drive) => driveKey(library, drive),
    onCleaning: (drive, reason) => void cleaning.wanted(drive, reason),
  });
  const drives: DrivePool = await DrivePool.open(library, {
    quotas: { read: config.recall.drives, write: config.archive.drives },
    onMount: (medium, drive) => counters.mounted(medium, drive),
    onFailure: (failure) => {
      counters.failed(failure);
      void failures.add(failure, drives);
    },
  });
  const cleaning = new Cleaning({ catalog, counters, drives, library, log, settings: config.library.kind === 'scsi' ? config.library.cleaning : null });
  const jobs = new Jobs(catalog, new JobFolder(config.state), (id, kind, state, summary) => {
    tally.jobEnded(kind, state, summary, Date.now());
    if (state === 'failed') record('job-failed', { job: `j${id}`, kind, ...errorOf(summary) });
  });
  // Events that arrive before the engine stands wait in the keeper: it sends none before ready().
  let recaller: Recaller | null = null;
  let overflows: Overflows | null = null;
  const events: KeeperEvents = {
    overflow: (seen) => {
      overflows = seen;
      if (seen.fresh > 0) recordOverflow(seen, catalog, log);
    },
    stub: (event) => recaller?.onStub(event),
    filesystem: (change) => {
      const filesystem = filesystems[change.index];
      if (filesystem !== undefined && change.fd !== null && isAnother(filesystem)) {
        log.warn({ path: filesystem.path }, 'a filesystem is mounted that is another than at the start: the daemon starts again');
        process.exit(restartExit);
      }
      if (filesystem !== undefined) applyChange(filesystem, change, log);
      else if (change.fd !== null) closeSync(change.fd);
    },
    unusable: (id) => keeper.answer([id], 'EAGAIN'),
    gone: (id) => recaller?.onGone(id),
    closed: onKeeperClosed,
  };
  const keeper = new KeeperClient(fds.socket, events);
  recaller = new Recaller({
    keeper: { answer: (ids, error) => (tally.answered(ids.length, error), keeper.answer(ids, error)) },
    catalog,
    drives,
    filesystems,
    groupFd: fds.group,
    ...tapeKnowledge(config, catalog),
    prefetchFiles: config.recall.prefetchFiles,
    gate: { ...config.recall, waitMs: config.recall.fullWaitS * 1000 },
    timeoutS: config.recall.timeoutS,
    log,
    onEnd: (end) => {
      tally.recallEnded(end);
      digest.add(end);
    },
  });
  await recollect(catalog, tally);
  const measured = { catalog, counters, drives, filesystems, jobs, library, recaller, tableFd: fds.table };
  const exposition = new Exposition((samples) => collectMetrics(measured, tally, samples));
  const rates = new DriveRates((drive) => counters.passed(drive));
  setInterval(() => rates.sample(drives.states.map(({ name }) => name)), rateMs).unref();
  return { config, log, rates, startedAt: new Date(), groupFd: fds.group, guard: fds.guard, catalog, library, drives, counters, cleaning, filesystems, keeper, recaller, jobs, overflows: () => overflows, tableFd: fds.table, exposition, hooks };
}

/** Of a job that failed. */
const errorOf = (summary: unknown): object => (typeof summary === 'object' && summary !== null && 'error' in summary ? { error: summary.error } : {});

/** What the last daemon knew of what is long ago. */
async function recollect(catalog: Catalog, tally: Tally): Promise<void> {
  for (const { kind, state, endedAt } of await catalog.jobs(rememberedJobs)) {
    if (state === 'done' && endedAt !== null) tally.jobDoneAt.set(kind, Math.max(endedAt, tally.jobDoneAt.get(kind) ?? 0));
  }
  tally.catalogueCopiedAt = (await catalog.lastEvent('catalogue-copied'))?.at ?? null;
}

function askOperator(request: OperatorRequest, catalog: Catalog, log: Log): void {
  log.warn({ ...request }, requestText(request));
  catalog.logEvent('operator-needed', null, { ...request }).catch((error: unknown) => log.error({ error }, 'an event was not recorded'));
}

function withdraw(request: OperatorRequest, reason: string, catalog: Catalog, log: Log): void {
  log.info({ ...request, reason }, 'a cartridge is not wanted any more');
  catalog.logEvent('operator-not-needed', null, { drive: request.drive, barcode: request.barcode, reason }).catch((error: unknown) => log.error({ error }, 'an event was not recorded'));
}

function recordOverflow({ count, fresh, lastAt }: Overflows, catalog: Catalog, log: Log): void {
  const incident = { fresh, count, at: lastAt.toISOString() };
  log.error(incident, 'the kernel lost events: programs may have read zeros from stubs');
  catalog.logEvent('queue-overflow', null, incident).catch((error: unknown) => log.error({ error }, 'an incident was not recorded'));
}

/** A daemon never makes a catalogue: what it would write into a new one is missing from the old one. */
function existing(path: string, config: Config): string {
  if (existsSync(path)) return path;
  throw new HsmError('ENOENT', `${path} does not exist: run 'hsm init' first, or check 'state' in ${config.file}`, { path });
}

async function matchFilesystems(config: Config, catalog: Catalog, fds: KeeperFds): Promise<DaemonFilesystem[]> {
  const matched: DaemonFilesystem[] = [];
  for (const [index, path] of config.filesystems.entries()) {
    const row = await filesystemAt(catalog, path);
    const mountFd = fds.mounts[index];
    if (row === undefined || mountFd === undefined) {
      throw new HsmError('CONFIG', `${path} is not in the catalogue: run 'hsm init' for it`, { exit: 2, path });
    }
    matched.push({ id: row.id, uuid: row.uuid, path, type: row.type, mountFd, locks: new InodeLocks(), view: mountFd < 0 ? 'absent' : 'seen', superblock: null, source: mountFd < 0 ? null : sourceOf(path), unguardedSince: null });
  }
  return matched;
}
