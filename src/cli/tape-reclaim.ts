/** `hsm tape reclaim`: volumes of which little is needed become scratch. */
import type { Command } from 'commander';
import type { ReclaimFailureLine, ReclaimLine, ReclaimSummary } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes } from '../errors.ts';
import { formatSize } from '../units.ts';
import { action, type Context, examples } from './command.ts';
import { followJob } from './job.ts';
import { fraction } from './options.ts';
import { oneLine } from './printable.ts';

interface Options {
  readonly below?: number;
  readonly dryRun?: true;
}

export function defineReclaim(command: Command): void {
  command
    .argument('[barcode...]', 'the volumes (default: all that are full or readonly, and of which less than half is needed)')
    .option('--below <fraction>', 'only volumes of which less than this part is needed: 0.3, or 30%', fraction)
    .option('--dry-run', 'only say what would be done')
    .addHelpText(
      'after',
      `\nWhat files and old versions need is copied to other volumes of the same pool, read back, and then the volume becomes scratch.\nKill it at any time: everything stays where it can be had, and the same command goes on.\n${examples('hsm tape reclaim', 'hsm tape reclaim --below 30%', 'hsm tape reclaim ARC101L8')}`,
    )
    .action(action((context, barcodes: string[], options: Options) => reclaim(context, barcodes, options)));
}

async function reclaim(context: Context, barcodes: readonly string[], { below, dryRun: isDry }: Options): Promise<ExitCode> {
  const dryRun = isDry === true;
  const params = { barcodes, ...(below === undefined ? {} : { below }), dryRun };
  const { summary, interrupted } = await followJob<ReclaimSummary>(context, 'tapeReclaim', params, (row) => showRow(context, row as ReclaimLine | ReclaimFailureLine));
  if (context.json) context.out.json(summary);
  else if (!context.quiet) context.out.line(inWords(summary, dryRun));
  if (interrupted) return exitCodes.interrupted;
  if (summary.failed === 0) return exitCodes.done;
  return summary.reclaimed + summary.copied > 0 ? exitCodes.partial : exitCodes.failed;
}

function showRow(context: Context, row: ReclaimLine | ReclaimFailureLine): void {
  if (context.json) {
    context.out.json(row);
    return;
  }
  if ('object' in row) {
    process.stderr.write(`hsm: ${oneLine(`${row.volume}, container ${row.container}: object ${row.object} was not copied: ${row.reason}`)}\n`);
    return;
  }
  const { barcode, result, reason, copied, bytes } = row;
  const members = `${copied.toLocaleString('en-US')} ${copied === 1 ? 'object' : 'objects'} (${formatSize(bytes)})`;
  if (result === 'failed') process.stderr.write(`hsm: ${oneLine(`${barcode} is not scratch: ${reason ?? 'something is on it'}`)}\n`);
  else if (context.quiet) return;
  else if (result === 'kept') context.out.line(oneLine(`${barcode} is left alone: ${reason ?? ''}`));
  else if (result === 'would') context.out.line(`${barcode} would become scratch, ${members} copied`);
  else context.out.line(`${barcode} is scratch, ${members} copied`);
}

function inWords({ volumes, reclaimed, copied, bytes, expired, interrupted }: ReclaimSummary, dryRun: boolean): string {
  if (volumes === 0) return 'there is no volume to reclaim';
  if (dryRun) return `looked at ${volumes} ${volumes === 1 ? 'volume' : 'volumes'}; nothing was done`;
  const old = expired > 0 ? `, ${expired.toLocaleString('en-US')} old versions dropped` : '';
  const more = interrupted === true ? '; stopped before the end: run it again to go on' : '';
  return `reclaimed ${reclaimed} of ${volumes} ${volumes === 1 ? 'volume' : 'volumes'}, ${copied.toLocaleString('en-US')} objects copied (${formatSize(bytes)})${old}${more}`;
}
