/** `hsm reconcile`: files that are gone, renamed, changed, or whose records are not right. */
import type { Command } from 'commander';
import type { ReconcileLine, ReconcileSummary } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes } from '../errors.ts';
import { rowPath } from './columns.ts';
import { action, type Context, examples } from './command.ts';
import { followJob } from './job.ts';
import { oneLine } from './printable.ts';

interface Options {
  readonly adopt?: true;
  readonly dryRun?: true;
}

export function define(command: Command): void {
  command
    .argument('[filesystem]', 'the mount point of a managed filesystem (default: all)')
    .option('--adopt', 'also take hollow files with the record of another inode, as from a backup, for the files that they stand for')
    .option('--dry-run', 'only say what is found')
    .addHelpText('after', `\nNothing on tape is touched: what is forgotten here stays as an old version for archive.retention.\n${examples('hsm reconcile --dry-run', 'hsm reconcile /data', 'hsm reconcile --adopt /data')}`)
    .action(action((context, filesystem: string | undefined, options: Options) => run(context, filesystem, options)));
}

async function run(context: Context, filesystem: string | undefined, options: Options): Promise<ExitCode> {
  const params = { ...(filesystem === undefined ? {} : { filesystemPath: filesystem.length > 1 ? filesystem.replace(/\/+$/, '') : filesystem }), adopt: options.adopt === true, dryRun: options.dryRun === true };
  const { summary, interrupted } = await followJob<ReconcileSummary>(context, 'reconcile', params, (row) => show(context, row as ReconcileLine));
  if (context.json) context.out.json(summary);
  else if (!context.quiet) context.out.line(inWords(summary));
  if (interrupted) return exitCodes.interrupted;
  if (summary.failed === 0) return exitCodes.done;
  return summary.done > 0 ? exitCodes.partial : exitCodes.failed;
}

const actions: Readonly<Record<NonNullable<ReconcileLine['action']>, readonly [done: string, would: string]>> = {
  forget: ['forgotten', 'is to be forgotten'],
  rename: ['name noted', 'its name is to be noted'],
  resident: ['counts as resident', 'is to count as resident'],
  'write-record': ['record written', 'its record is to be written'],
  'drop-record': ['record dropped', 'its record is to be dropped'],
  adopt: ['adopted', 'is to be adopted'],
};

function show(context: Context, row: ReconcileLine): void {
  if (context.json) {
    context.out.json(row);
    return;
  }
  if (context.quiet && row.done) return;
  const words = row.action === null ? null : actions[row.action][row.done ? 0 : 1];
  const more = [row.from === undefined ? null : `was ${row.from}`, words, row.reason].filter((each) => each !== null).join('; ');
  context.out.line(oneLine(`${row.finding.padEnd(14)}  ${rowPath(row)}${more === '' ? '' : ` (${more})`}`));
}

function inWords({ files, findings, done, failed, interrupted }: ReconcileSummary): string {
  const found = Object.entries(findings).map(([finding, count]) => `${count.toLocaleString('en-US')} ${finding}`);
  const looked = `looked at ${files.toLocaleString('en-US')} ${files === 1 ? 'file' : 'files'}`;
  const ended = interrupted === true ? '; stopped before the end' : '';
  if (found.length === 0) return `${looked}: all is as the catalogue has it${ended}`;
  return `${looked}: ${found.join(', ')}; ${done.toLocaleString('en-US')} put right${failed > 0 ? `, ${failed.toLocaleString('en-US')} failed` : ''}${ended}`;
}
