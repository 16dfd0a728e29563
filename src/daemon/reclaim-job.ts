/** Jobs of `hsm tape reclaim`. */
import { runReclaim, type ReclaimRequest } from '../archiver/reclaim.ts';
import { HsmError, usageError } from '../errors.ts';
import { contextOf } from './archive-jobs.ts';
import type { Daemon } from './daemon.ts';
import type { JobRun } from './jobs.ts';
import { flag, textList, type Params } from './params.ts';
import { unread } from './unread.ts';
import type { ReclaimFailureLine, ReclaimLine, ReclaimSummary } from './protocol.ts';

export function parseReclaim({ config }: Pick<Daemon, 'config'>, params: Params): ReclaimRequest {
  const below = params['below'] ?? null;
  if (below !== null && !(typeof below === 'number' && below > 0 && below <= 1)) throw usageError('below must be a number of more than 0 and at most 1');
  return { barcodes: textList(params, 'barcodes'), below, endedBefore: Date.now() - config.archive.retentionS * 1000, dryRun: flag(params, 'dryRun') };
}

export async function runReclaimJob(daemon: Daemon, request: ReclaimRequest, run: JobRun): Promise<ReclaimSummary> {
  const { filesystems, recaller } = daemon;
  const [any] = filesystems;
  if (any === undefined) throw new HsmError('NOT_MANAGED', 'no filesystem is managed');
  await recaller.settle();
  const context = await contextOf(daemon, any, run);
  return runReclaim({ ...context, filesystems, unread: (barcode) => unread(daemon.recaller, barcode, run.signal) }, request, {
    progress: (progress) => run.progress(progress),
    volume: (volume) => void run.row(volume satisfies ReclaimLine),
    failed: ({ object, ...failure }) => void run.row({ ...failure, object: object.toString('hex') } satisfies ReclaimFailureLine),
  });
}
