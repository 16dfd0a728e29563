/** One run of `hsm release`: archived files become stubs, without a tape write. */
import type { Summary } from '../daemon/protocol.ts';
import type { WalkBatch } from '../native/index.ts';
import { withNative, type ArchiverContext, type Observer, type ReleaseRequest } from './context.ts';
import { pathOf } from './file-list.ts';
import { sortKnown } from './known-files.ts';
import { KnownRelease, releaseBatchRows } from './known-release.ts';
import { unfit, type Judge } from './policy.ts';
import { Releaser } from './releaser.ts';
import { scan } from './scan.ts';
import { Tally } from './tally.ts';

/** Files that are not on tape are skipped as `resident`, those that changed since as `changed`. Unverified copies are read back first. */
export async function runRelease(given: ArchiverContext, { paths }: ReleaseRequest, observer: Observer): Promise<Summary> {
  const context = withNative(given);
  const tally = new Tally(observer, context.log, context.clock);
  const releaser = new Releaser(context, tally, () => tally.progress('release', tally.released, tally.releasedBytes));
  const known = new KnownRelease(context, releaser, tally);
  for await (const { batch, rows } of scan(context, paths, everyFile, tally, { repair: true, batchRows: releaseBatchRows })) {
    const sorted = await sortKnown(context, batch, rows, { change: true });
    for (const row of sorted.fresh) tally.skip(sorted.changed.has(row) ? 'changed' : 'resident', () => pathOf(batch, row), batch.size[row]);
    for (const file of sorted.known) await known.offer(batch, file);
  }
  await known.finish(paths, everyFile);
  await releaser.finish();
  tally.bytes = tally.releasedBytes;
  tally.interrupted = context.stopRequested();
  tally.progress('done', tally.released, tally.releasedBytes, { last: true });
  return tally.summary;
}

/** Whatever has data to give up: its owner asked for it by name. */
const everyFile = (batch: WalkBatch): Judge => (row) => unfit(batch, row);
