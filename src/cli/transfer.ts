/** What archive, release and recall share: the request, progress, ^C, and the summary that decides the exit code. */
import { connect } from '../daemon/client.ts';
import type { FileRowLine, Summary, WirePath } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes, HsmError } from '../errors.ts';
import { formatSize } from '../units.ts';
import type { Context } from './command.ts';
import { onInterrupt } from './interrupt.ts';
import { existing, givenPaths, pathKeys, wirePath } from './paths.ts';
import { describe } from './report.ts';
import { oneLine, printable } from './printable.ts';
import { ProgressView } from './progress.ts';

export interface TransferRequest {
  readonly method: 'archive' | 'release' | 'recall';
  readonly params: Readonly<Record<string, unknown>>;
  readonly paths: readonly string[];
  readonly files0From?: string;
  readonly verbose: boolean;
  readonly dryRun?: boolean;
}

/** Sends the request for all paths, or for none when a named one does not exist. Listed ones that do not exist are counted as failed. */
export async function transfer(context: Context, request: TransferRequest): Promise<ExitCode> {
  const config = context.config();
  const { paths, missing } = findPaths(context, request);
  const view = context.json || context.quiet ? null : new ProgressView(process.stderr);
  const client = await connect(config.socket);
  // Before the request is on its way: from then on a ^C must reach the job.
  const interrupt = onInterrupt(() => {
    view?.clear();
    if (!context.json) process.stderr.write(`hsm: stopping ${request.method === 'archive' ? 'after the current container' : 'as soon as what is under way is safe'}; ^C again to leave at once\n`);
    started.cancel().catch(() => undefined);
  });
  const started = client.start(
    request.method,
    { ...request.params, paths, verbose: request.verbose },
    {
      row: (row) => {
        view?.clear();
        showRow(context, row as FileRowLine, request);
      },
      progress: (progress) => view?.update(progress),
    },
  );
  try {
    const sent = (await started.result) as Summary;
    const summary: Summary = { ...sent, summary: true, failed: sent.failed + missing };
    view?.clear();
    showSummary(context, request, summary);
    if (interrupt.seen || summary.interrupted === true) return exitCodes.interrupted;
    return exitOf(summary);
  } finally {
    view?.clear();
    interrupt.off();
    client.close();
  }
}

function findPaths(context: Context, request: TransferRequest): { paths: WirePath[]; missing: number } {
  const { named, listed } = givenPaths(request.paths, request.files0From);
  const paths = named.map((path) => wirePath(existing(path)));
  let missing = 0;
  for (const path of listed) {
    try {
      paths.push(wirePath(existing(path)));
    } catch (error) {
      missing += 1;
      if (context.json) {
        if (request.verbose) context.out.json({ ...pathKeys(path), result: 'failed', reason: describe(error) });
      } else process.stderr.write(`hsm: ${oneLine(describe(error))}\n`);
    }
  }
  if (paths.length === 0) throw new HsmError('ENOENT', missing === 0 ? 'the list is empty: nothing to do' : 'none of the listed paths exists: nothing was done');
  return { paths, missing };
}

function showRow(context: Context, row: FileRowLine, { verbose, method }: TransferRequest): void {
  if (context.json) {
    if (verbose) context.out.json(row);
    return;
  }
  const path = row.pathBase64 === undefined ? row.path : Buffer.from(row.pathBase64, 'base64');
  if (row.result === 'failed') process.stderr.write(`hsm: ${printable(path)}: ${oneLine(row.reason ?? 'failed')}\n`);
  else if (verbose) context.out.line(row.result.padEnd(9), context.out.name(path), row.reason === undefined ? '' : ` (${reasonInWords(row.reason, method)})`);
}

function showSummary(context: Context, request: TransferRequest, summary: Summary): void {
  if (context.json) context.out.json(summary);
  else if (!context.quiet || summary.failed > 0) for (const line of summaryLines(summary, request)) context.out.line(line);
}

/** The summary in words, one line for what was done, one for what was not. */
export function summaryLines(summary: Summary, { dryRun, method }: Partial<Pick<TransferRequest, 'dryRun' | 'method'>> = {}): string[] {
  const count = (value: number) => `${value.toLocaleString('en-US')} ${value === 1 ? 'file' : 'files'}`;
  const would = dryRun === true ? 'would have ' : '';
  const done = (['archived', 'released', 'recalled'] as const).filter((verb) => summary[verb] > 0).map((verb) => `${would}${verb} ${count(summary[verb])}`);
  const bytes = summary.bytes > 0 ? ` (${formatSize(summary.bytes)})` : '';
  const lines = [done.length === 0 ? `nothing ${would === '' ? 'was done' : 'would be done'}` : `${done.join(', ')}${bytes}`];
  const skipped = Object.entries(summary.skipped).filter(([, files]) => files > 0);
  if (skipped.length > 0) {
    const total = skipped.reduce((sum, [, files]) => sum + files, 0);
    lines.push(`skipped ${count(total)}: ${skipped.map(([reason, files]) => `${files.toLocaleString('en-US')} ${reasonInWords(reason, method)}`).join(', ')}`);
  }
  if (summary.failed > 0) lines.push(`failed ${count(summary.failed)}`);
  if (summary.interrupted === true) lines.push('stopped before the end: run it again to go on');
  return lines;
}

const words: Readonly<Record<string, string>> = {
  young: 'too young',
  size: 'too small for --larger-than',
  unverified: 'not yet verified on tape',
  open: 'in use',
  changed: 'changed while being read',
  small: 'without a block to gain',
  empty: 'empty',
  immutable: 'immutable',
  stub: 'already on tape only',
  archived: 'already archived',
  excluded: 'excluded',
  gone: 'gone meanwhile',
  symlink: 'symbolic links',
  symlinks: 'symbolic links',
  special: 'not regular files',
  otherFilesystem: 'on other filesystems',
  otherFilesystems: 'on other filesystems',
};

function reasonInWords(reason: string, method?: TransferRequest['method']): string {
  if (reason === 'resident') return method === 'recall' ? 'on disk already' : 'not archived';
  return words[reason] ?? oneLine(reason);
}

function exitOf(summary: Summary): ExitCode {
  if (summary.failed === 0) return exitCodes.done;
  return summary.archived + summary.released + summary.recalled > 0 ? exitCodes.partial : exitCodes.failed;
}
