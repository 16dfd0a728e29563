/** Jobs of the archiver: one run per filesystem that the paths are on. */
import { runArchive, runRelease, runVerify, type ArchiverContext, type DamagedObject, type FileOutcome, type Observer, type VerifyRequest } from '../archiver/index.ts';
import type { ArchiveParams, FileRowLine, Summary } from './protocol.ts';
import type { Daemon, DaemonFilesystem } from './daemon.ts';
import type { JobRun } from './jobs.ts';
import { pathKeys, type ManagedPath } from './managed-paths.ts';

export async function runArchiveJob(daemon: Daemon, paths: readonly ManagedPath[], wanted: Omit<ArchiveParams, 'paths'>, run: JobRun): Promise<Summary> {
  const { verbose, ...rest } = wanted;
  const pools = rest.pools.length > 0 ? rest.pools : daemon.config.archive.pools;
  return eachFilesystem(daemon, paths, run, verbose, (context, below, observer) => runArchive(context, { ...rest, pools, paths: below }, observer));
}

export async function runReleaseJob(daemon: Daemon, paths: readonly ManagedPath[], verbose: boolean, run: JobRun): Promise<Summary> {
  return eachFilesystem(daemon, paths, run, verbose, (context, below, observer) => runRelease(context, { paths: below }, observer));
}

type Work = (context: ArchiverContext, paths: readonly Buffer[], observer: Observer) => Promise<Summary>;

async function eachFilesystem(daemon: Daemon, paths: readonly ManagedPath[], run: JobRun, verbose: boolean, work: Work): Promise<Summary> {
  let total: Summary = { summary: true, archived: 0, released: 0, recalled: 0, bytes: 0, skipped: {}, failed: 0 };
  for (const [index, filesystem] of daemon.filesystems.entries()) {
    const below = paths.filter((path) => path.filesystem === index).map(({ rel }) => rel);
    if (below.length === 0 || run.signal.aborted) continue;
    total = add(total, await work(await contextOf(daemon, filesystem, run), below, observerOf(filesystem, run, verbose)));
  }
  return total;
}

export async function contextOf(daemon: Daemon, filesystem: DaemonFilesystem, run: JobRun): Promise<ArchiverContext> {
  const { catalog: whole, config, drives, groupFd, log, recaller } = daemon;
  // What recalls have still to write of these files comes first: written later, it would undo what is newer.
  const catalog: typeof whole = {
    ...whole,
    moveFiles: async (...words) => (await recaller.settle(), whole.moveFiles(...words)),
    addArchived: async (...words) => (await recaller.settle(), whole.addArchived(...words)),
  };
  const row = (await catalog.filesystems()).find(({ id }) => id === filesystem.id);
  if (row === undefined) throw new Error(`filesystem ${filesystem.id} has left the catalogue`);
  return {
    catalog,
    drives,
    filesystem: { row, mountFd: filesystem.mountFd, groupFd, path: filesystem.path },
    locks: filesystem.locks,
    config,
    log,
    clock: { now: () => Date.now() },
    stopRequested: () => run.signal.aborted,
  };
}

function observerOf(filesystem: DaemonFilesystem, run: JobRun, verbose: boolean): Observer {
  const progress: Observer['progress'] = (now) => run.progress(now);
  if (!verbose) return { progress };
  return { progress, file: (outcome) => void run.row(lineOf(filesystem, outcome)) };
}

const lineOf = (filesystem: DaemonFilesystem, { path, outcome, reason, size }: FileOutcome): FileRowLine => ({
  ...pathKeys(filesystem.path, path),
  result: outcome,
  ...(reason === null ? {} : { reason }),
  ...(size === null ? {} : { size }),
});

function add(a: Summary, b: Summary): Summary {
  const skipped: Record<string, number> = { ...a.skipped };
  for (const [reason, count] of Object.entries(b.skipped)) skipped[reason] = (skipped[reason] ?? 0) + count;
  return {
    summary: true,
    archived: a.archived + b.archived,
    released: a.released + b.released,
    recalled: a.recalled + b.recalled,
    bytes: a.bytes + b.bytes,
    skipped,
    failed: a.failed + b.failed,
    ...(a.interrupted === true || b.interrupted === true ? { interrupted: true } : {}),
  };
}

export interface Verified {
  /** Copies that were read. */
  readonly checked: number;
  readonly damaged: number;
  /** Of the damaged. */
  readonly repaired: number;
  readonly interrupted?: true;
}

export interface VerifyParams extends Pick<VerifyRequest, 'choice' | 'rate'> {
  readonly tape: string | null;
  readonly repair: boolean;
}

/** By volume, by paths, or (with neither) every volume that holds something and is at hand. Each damaged object is a row. */
export async function runVerifyJob(daemon: Daemon, { tape, repair, ...how }: VerifyParams, paths: readonly ManagedPath[], run: JobRun): Promise<Verified> {
  const total = { checked: 0, damaged: 0, repaired: 0 };
  const verify = async (filesystem: DaemonFilesystem, request: VerifyRequest): Promise<void> => {
    if (run.signal.aborted) return;
    const { checked, damaged, repaired } = await runVerify(await contextOf(daemon, filesystem, run), { ...how, ...request }, {
      progress: (now) => run.progress({ ...now, files: total.checked + now.files }),
      damaged: (object) => void run.row(damagedLine(daemon.filesystems, object)),
      repaired: (object) => void run.row({ ...damagedLine(daemon.filesystems, object), repaired: true }),
    });
    total.checked += checked;
    total.damaged += damaged;
    total.repaired += repaired;
  };
  const [any] = daemon.filesystems;
  for (const [index, filesystem] of daemon.filesystems.entries()) {
    const below = paths.filter((path) => path.filesystem === index).map(({ rel }) => rel);
    if (below.length > 0) await verify(filesystem, { paths: below });
  }
  if ((tape !== null || paths.length === 0) && any !== undefined) {
    const atHand = (await daemon.catalog.volumeUsage()).filter(({ objects, state }) => objects > 0 && state !== 'exported' && state !== 'failed');
    const tapes = tape === null ? atHand.map(({ barcode }) => barcode) : [tape];
    await verify(any, { tapes, ...(repair ? { repair: { endedBefore: Date.now() - daemon.config.archive.retentionS * 1000 } } : {}) });
  }
  return run.signal.aborted ? { ...total, interrupted: true } : total;
}

function damagedLine(filesystems: readonly DaemonFilesystem[], { volume, container, offset, object, filesystem, path, reason }: DamagedObject): object {
  const root = filesystems.find(({ id }) => id === filesystem)?.path;
  const keys = path === null || root === undefined ? { path: null } : pathKeys(root, path);
  return { volume, container, offset, object: object?.toString('hex') ?? null, ...keys, reason };
}
