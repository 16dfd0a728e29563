/** Jobs of `hsm reconcile`. */
import { HsmError } from '../errors.ts';
import { reconcile, type ReconcileRequest } from '../reconcile/reconcile.ts';
import type { Daemon, DaemonFilesystem } from './daemon.ts';
import type { JobRun } from './jobs.ts';
import { pathKeys, shownPath } from './managed-paths.ts';
import { flag, optionalText, type Params } from './params.ts';
import type { ReconcileLine, ReconcileSummary } from './protocol.ts';

export interface ReconcileParams extends ReconcileRequest {
  readonly filesystems: readonly DaemonFilesystem[];
}

export function parseReconcile({ filesystems }: Pick<Daemon, 'filesystems'>, params: Params): ReconcileParams {
  const path = optionalText(params, 'filesystemPath');
  const wanted = path === null ? filesystems : filesystems.filter((each) => each.path === path);
  if (wanted.length === 0) throw new HsmError('NOT_MANAGED', `${path ?? ''} is no managed filesystem: hsm manages ${filesystems.map((each) => each.path).join(', ')}`);
  const absent = wanted.find(({ mountFd }) => mountFd < 0);
  if (absent !== undefined) throw new HsmError('ENODEV', `${absent.path} is not mounted: hsm mount DEVICE ${absent.path}`, { path: absent.path });
  return { filesystems: wanted, adopt: flag(params, 'adopt'), dryRun: flag(params, 'dryRun') };
}

export async function runReconcileJob({ catalog, recaller }: Daemon, { filesystems, ...request }: ReconcileParams, run: JobRun): Promise<ReconcileSummary> {
  const findings: Record<string, number> = {};
  const total = { files: 0, done: 0, failed: 0 };
  for (const filesystem of filesystems) {
    if (run.signal.aborted) break;
    // What recalls have still to write comes first.
    await recaller.settle();
    total.files += await reconcile({ catalog, filesystem, stopRequested: () => run.signal.aborted }, request, {
      progress: (progress) => run.progress({ ...progress, files: total.files + progress.files }),
      found: ({ path, from, object, ...found }) => {
        findings[found.finding] = (findings[found.finding] ?? 0) + 1;
        if (found.done) total.done += 1;
        else if (found.reason !== null && found.action !== null && !(found.action === 'adopt' && !request.adopt)) total.failed += 1;
        const line: ReconcileLine = {
          ...pathKeys(filesystem.path, path),
          ...found,
          ...(from === null ? {} : { from: shownPath(filesystem.path, from) }),
          ...(object === null ? {} : { object: object.toString('hex') }),
        };
        void run.row(line);
      },
    });
  }
  return { summary: true, ...total, findings, ...(run.signal.aborted ? { interrupted: true } : {}) };
}
