/** What the control socket's methods do. Each checks its parameters itself: any user may have sent them. */
import { exitCodes, HsmError, usageError } from '../errors.ts';
import { runArchiveJob, runReleaseJob, runVerifyJob } from './archive-jobs.ts';
import type { Daemon } from './daemon.ts';
import { unmountFilesystem } from './filesystems.ts';
import { fileInfos } from './file-info.ts';
import { managedPath, pathKeys, type ManagedPath } from './managed-paths.ts';
import { driveStates, queueRowsOf } from './operator-requests.ts';
import { usedDrives, usedVolumes } from './media-use.ts';
import { runRecallJob } from './recall-job.ts';
import { parseReclaim, runReclaimJob } from './reclaim-job.ts';
import { parseReconcile, runReconcileJob } from './reconcile-job.ts';
import { lostFilesystems, lostLine, parseRestore, runRestoreJob } from './restore-job.ts';
import type { Cleaner } from './cleaning.ts';
import type { VolumeLine } from './protocol.ts';
import type { Call, Handlers } from './server.ts';
import { statusOf } from './status.ts';
import { shelfHandlers } from './shelf.ts';
import { parseUndelete, runUndelete, versionLines } from './undelete-job.ts';
import { steeringHandlers } from './steering.ts';
import { addTapes, elements, formatTape, locatedVolumes } from './tapes.ts';
import { eventLine, watchSources } from './watch-sources.ts';
import { Watches } from './watch.ts';
import { flag, integer, parseArchive, parseVerify, text, wirePaths, type Params } from './params.ts';

export function handlersOf(daemon: Daemon): Handlers {
  const { catalog, filesystems, jobs, recaller, config } = daemon;
  const roots = config.filesystems;
  const watches = new Watches(watchSources(daemon));
  return {
    archive: async (params, call) => {
      const wanted = parseArchive(params);
      const paths = resolvedPaths(daemon, params);
      return jobs.run('archive', spec(params), call, (run) => runArchiveJob(daemon, paths, wanted, run));
    },
    release: async (params, call) => {
      const paths = resolvedPaths(daemon, params);
      return jobs.run('release', spec(params), call, (run) => runReleaseJob(daemon, paths, flag(params, 'verbose'), run));
    },
    recall: async (params, call) => {
      const paths = resolvedPaths(daemon, params);
      const verbose = flag(params, 'verbose');
      return jobs.run('recall', spec(params), call, (run) => runRecallJob({ filesystems, recaller, paths, verbose }, run), { paths: params['paths'] });
    },
    verify: async (params, call) => {
      const wanted = parseVerify(params);
      const paths = params['paths'] === undefined ? [] : resolvedPaths(daemon, params);
      return jobs.run('verify', spec(params), call, (run) => runVerifyJob(daemon, wanted, paths, run));
    },
    versions: async (params, call) => sendAll(call, await versionLines(daemon, params)),
    undelete: async (params, call) => {
      const wanted = await parseUndelete(daemon, params);
      return jobs.run('undelete', spec(params), call, () => runUndelete(daemon, wanted));
    },
    reconcile: async (params, call) => {
      const wanted = parseReconcile(daemon, params);
      return jobs.run('reconcile', spec(params), call, (run) => runReconcileJob(daemon, wanted, run));
    },
    restoreTree: async (params, call) => {
      const wanted = parseRestore(daemon, params);
      return jobs.run('restore', spec(params), call, (run) => runRestoreJob(daemon, wanted, run));
    },
    lostFilesystems: async (_params, call) => sendAll(call, (await lostFilesystems(daemon)).map(lostLine)),
    files: async (params) => {
      const path = text(params, 'filesystemPath');
      const filesystem = filesystems.find((each) => each.path === path);
      if (filesystem === undefined) throw new HsmError('NOT_MANAGED', `${path} is no managed filesystem`, { path });
      await recaller.settle();
      return fileInfos(catalog, filesystem.id, inosOf(params));
    },
    status: async () => {
      await recaller.settle();
      return statusOf(daemon);
    },
    queue: async (_params, call) => sendAll(call, queueRowsOf(daemon, call.operator ? null : call.peer.uid)),
    jobs: async (params, call) => sendAll(call, await jobs.lines(integer(params, 'limit', 100))),
    ...steeringHandlers(daemon),
    ...shelfHandlers(daemon),
    tapes: async (_params, call) => sendAll(call, [...(await usedVolumes(daemon, await locatedVolumes(daemon))), ...(await daemon.cleaning.cleaners()).map(cleanerLine)]),
    tape: (params, call) => sendTape(daemon, text(params, 'barcode'), call),
    tapeAdd: async (params, call) => sendAll(call, await addTapes(daemon, params)),
    tapeFormat: async (params, call) => {
      const barcode = text(params, 'barcode');
      await formatTape(daemon, barcode, flag(params, 'force'));
      await catalog.logEvent('tape-format', call.peer.uid, { barcode, force: flag(params, 'force'), pid: call.peer.pid });
      return {};
    },
    tapeReclaim: async (params, call) => {
      const wanted = parseReclaim(daemon, params);
      return jobs.run('reclaim', spec(params), call, (run) => runReclaimJob(daemon, wanted, run));
    },
    inventory: async (params, call) => sendAll(call, await elements(daemon, flag(params, 'rescan'))),
    drives: async (_params, call) => sendAll(call, await usedDrives(daemon, driveStates(daemon))),
    driveClean: async (params, call) => {
      const drive = text(params, 'name');
      const { barcode, uses, usesLeft } = await daemon.cleaning.clean(drive, call.peer.uid);
      return { name: drive, barcode, uses, usesLeft };
    },
    drive: (params) => driveOf(daemon, text(params, 'name')),
    unmount: async (params, call) => {
      if (call.peer.uid !== 0) throw new HsmError('EPERM', 'only root may unmount filesystems');
      const path = text(params, 'path');
      const filesystem = filesystems.find((each) => each.path === path);
      if (filesystem === undefined) throw new HsmError('NOT_MANAGED', `${path} is none of the filesystems of ${config.file} (${roots.join(', ')}): use umount`, { path });
      await recaller.settle();
      const result = await unmountFilesystem(daemon, filesystem);
      await catalog.logEvent('unmount', call.peer.uid, { ...result, pid: call.peer.pid });
      return result;
    },
    hooksTest: async (_params, call) => sendAll(call, await daemon.hooks.test()),
    metrics: async (params, call) => (flag(params, 'json') ? sendAll(call, await daemon.exposition.families()) : { text: await daemon.exposition.text() }),
    events: async (params, call) => sendAll(call, (await catalog.events(integer(params, 'limit', 100))).map(eventLine)),
    watch: (params, call) => watches.watch(params, call),
  };
}

/** Recall jobs that the daemon before this one left go on. */
export function resumeJobs(daemon: Daemon, leftovers: Awaited<ReturnType<Daemon['jobs']['leftovers']>>): void {
  const { filesystems, jobs, log, recaller } = daemon;
  for (const { id, kind, params } of leftovers) {
    log.info({ job: id, kind }, 'a job of the daemon before this one is taken up');
    void jobs.resume(id, kind, async (run) => runRecallJob({ filesystems, recaller, paths: resolvedPaths(daemon, params), verbose: false }, run));
  }
}

function resolvedPaths({ config, filesystems }: Pick<Daemon, 'config' | 'filesystems'>, params: Params): ManagedPath[] {
  return wirePaths(params).map((path) => {
    const managed = managedPath(path, config.filesystems);
    const filesystem = filesystems[managed.filesystem];
    if (filesystem !== undefined && filesystem.mountFd < 0) throw new HsmError('ENODEV', `${filesystem.path} is not mounted: hsm mount DEVICE ${filesystem.path}`, { path: filesystem.path });
    return managed;
  });
}

/** What was asked for, as `hsm jobs` shows it: long lists of paths are cut. */
function spec(params: Params): unknown {
  const paths = params['paths'];
  return Array.isArray(paths) && paths.length > 20 ? { ...params, paths: [...(paths as unknown[]).slice(0, 20), `and ${paths.length - 20} more`] } : params;
}

async function sendAll(call: Call, rows: readonly object[]): Promise<{ rows: number }> {
  for (const row of rows) await call.row(row);
  return { rows: rows.length };
}

function inosOf(params: Params): number[] {
  const inos = params['inos'];
  if (!Array.isArray(inos) || !inos.every((ino): ino is number => typeof ino === 'number' && Number.isSafeInteger(ino))) throw usageError('inos must be a list of inode numbers');
  return inos;
}

/** As `hsm tape ls` shows it, beside the volumes. */
const cleanerLine = ({ barcode, location, uses, usesLeft }: Cleaner): VolumeLine => ({
  barcode,
  pool: null,
  state: 'cleaning',
  reason: `used ${uses} times, ${usesLeft} left`,
  location,
  capacity: 0,
  used: 0,
  live: 0,
  objects: 0,
});

async function driveOf(daemon: Daemon, name: string): Promise<object> {
  const states = driveStates(daemon);
  const [drive] = await usedDrives(daemon, states.filter((each) => each.name === name));
  if (drive === undefined) throw new HsmError('NO_DRIVE', `no drive is named ${name}: the drives are ${states.map((each) => each.name).join(', ')}`);
  return drive;
}

async function sendTape(daemon: Daemon, barcode: string, call: Call): Promise<{ objects: number }> {
  const volume = (await locatedVolumes(daemon)).find((each) => each.barcode === barcode);
  if (volume === undefined) throw new HsmError('NO_VOLUME', `no volume is named ${barcode}: see hsm tape ls`, { exit: exitCodes.failed });
  const [used] = await usedVolumes(daemon, [volume]);
  await call.row(used ?? volume);
  let sent = 0;
  let after: { container: number; offset: number } | null = null;
  for (;;) {
    const page = await daemon.catalog.objectsOnVolume(barcode, after, 1000);
    for (const { object, copy, filesystem, path } of page) {
      const root = daemon.filesystems.find(({ id }) => id === filesystem)?.path;
      await call.row({
        object: object.id.toString('hex'),
        container: copy.container,
        offset: copy.offset,
        size: object.size,
        sha256: object.sha256.toString('hex'),
        ...(path === null || root === undefined ? { path: null } : pathKeys(root, path)),
      });
      after = { container: copy.container, offset: copy.offset };
    }
    sent += page.length;
    if (page.length < 1000 || call.gone.aborted) return { objects: sent };
  }
}
