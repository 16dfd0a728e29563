/** Walks paths and hands on the files that a judge wants, a batch at a time; the others are counted with their reason. */
import type { WalkBatch } from '../native/index.ts';
import type { NativeContext, SkipReason } from './context.ts';
import { pathOf } from './file-list.ts';
import { healStubs } from './heal-stubs.ts';
import { isWithin, type Judge } from './policy.ts';
import { settleRecords } from './records.ts';
import type { Tally } from './tally.ts';

export interface ScannedBatch {
  readonly batch: WalkBatch;
  /** Rows that are wanted, ascending. */
  readonly rows: Uint32Array;
}

type ScanContext = Pick<NativeContext, 'filesystem' | 'locks' | 'catalog' | 'stopRequested' | 'native'>;

export interface ScanOptions {
  /** Default 2. */
  readonly threads?: number;
  /** What may be put right on the way: records that mean nothing, and the catalogue's rows of stubs. */
  readonly repair?: boolean;
  /** Rows of a batch, at most. What is done with a batch takes turns with what other threads do meanwhile. */
  readonly batchRows?: number;
  /** Stubs are not set apart: the judge alone decides. */
  readonly withStubs?: boolean;
}

/**
 * Each batch is good until the next one is asked for. Ends early when a stop is requested. Paths that cannot be read are failures, those
 * that went away meanwhile are skipped as `gone`.
 */
export async function* scan(
  context: ScanContext,
  paths: readonly Buffer[],
  judgeOf: (batch: WalkBatch) => Judge,
  tally: Tally,
  { threads = 2, repair = false, withStubs = false, batchRows = 16_384 }: ScanOptions = {},
): AsyncGenerator<ScannedBatch> {
  const roots = withoutNested(paths);
  const known = await context.catalog.countStates(context.filesystem.row.id);
  // Where there are no stubs, looking for their records would only cost time: the packer and the eviction look again.
  const records = known.stub + known.recalling + known.archived > 0 ? 'all' : 'hollow';
  const walker = context.native.walk(context.filesystem.mountFd, roots, { threads, records, batchRows });
  try {
    for (;;) {
      if (context.stopRequested()) return;
      const batch = await walker.next();
      if (batch === null) return;
      countErrors(batch, roots, tally);
      const stubs = settleRecords(context, batch, repair);
      if (repair && known.archived > 0) await healStubs(context, batch, stubs);
      const judge = judgeOf(batch);
      yield { batch, rows: wantedRows(batch, (row) => (stubs.has(row) && !withStubs ? 'stub' : judge(row)), tally) };
      walker.release(batch);
    }
  } finally {
    walker.close();
  }
}

/** A path below another one is walked with it: no file is found twice. */
export function withoutNested(paths: readonly Buffer[]): Buffer[] {
  const kept: Buffer[] = [];
  for (const path of [...paths].sort((a, b) => a.length - b.length)) {
    if (!kept.some((folder) => isWithin(path, folder))) kept.push(path);
  }
  return kept;
}

function countErrors(batch: WalkBatch, roots: readonly Buffer[], tally: Tally): void {
  for (const { path, code } of batch.errors) {
    const asked = roots.some((root) => root.equals(path));
    if ((code === 'ENOENT' || code === 'ESTALE') && !asked) tally.skip('gone', () => path);
    else tally.fail(code, path);
  }
}

function wantedRows(batch: WalkBatch, judge: Judge, tally: Tally): Uint32Array {
  const rows = new Uint32Array(batch.count);
  const skips = new Map<SkipReason, number>();
  let wanted = 0;
  for (let row = 0; row < batch.count; row += 1) {
    const reason = judge(row);
    if (reason === null) rows[wanted++] = row;
    else if (tally.verbose) tally.skip(reason, () => pathOf(batch, row), batch.size[row]);
    else skips.set(reason, (skips.get(reason) ?? 0) + 1);
  }
  for (const [reason, count] of skips) tally.skipMany(reason, count);
  return rows.subarray(0, wanted);
}
