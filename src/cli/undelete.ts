/** `hsm undelete`: old versions of files, and files that were deleted. */
import type { Command } from 'commander';
import { withClient } from '../daemon/client.ts';
import type { Undeleted, VersionLine } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes, usageError } from '../errors.ts';
import { formatSize } from '../units.ts';
import { rowPath } from './columns.ts';
import { action, type Context, examples } from './command.ts';
import { followJob } from './job.ts';
import { show } from './listing.ts';
import { absolute, bytesOfArguments, existing, wirePath } from './paths.ts';
import type { Column } from './table.ts';

interface Options {
  readonly object?: string;
  readonly into?: string;
  readonly list?: true;
}

export function define(command: Command): void {
  command
    .argument('<path>', 'the name that the file had')
    .option('--into <dir>', 'put it into this directory of a managed filesystem (default: where it was)')
    .option('--object <digits>', 'which version, by the first digits of its object (default: the newest)')
    .option('--list', 'only list the versions that can be had')
    .addHelpText('after', `\nIt comes back as a stub, and its data when somebody reads it. Nothing is ever replaced: where something has the name, exit code 5.\n${examples('hsm undelete --list /data/report.odt', 'hsm undelete /data/report.odt', 'hsm undelete --object 0198a1 --into /data/old /data/report.odt')}`)
    .action(action((context, path: string, options: Options) => run(context, path, options)));
}

const columns: readonly Column<VersionLine>[] = [
  { title: 'OBJECT', value: (row) => row.object },
  { title: 'SIZE', value: (row) => formatSize(row.size), right: true },
  { title: 'MODIFIED', value: (row) => row.mtime },
  { title: 'ENDED', value: (row) => row.endedAt },
  { title: 'KEPT UNTIL', value: (row) => row.keptUntil },
  { title: 'VOLUME', value: (row) => row.volume },
];

async function run(context: Context, argument: string, { into, object, list }: Options): Promise<ExitCode> {
  const [bytes] = bytesOfArguments([argument]);
  if (bytes === undefined) throw usageError('name the file');
  const path = wirePath(absolute(bytes));
  if (list === true) {
    const rows = (await withClient(context.config().socket, (client) => client.rows('versions', { path }))) as VersionLine[];
    show(context, rows, columns, 'no old version of it is known');
    return exitCodes.done;
  }
  const [directory] = into === undefined ? [] : bytesOfArguments([into]);
  const params = { path, ...(directory === undefined ? {} : { into: wirePath(existing(absolute(directory))) }), ...(object === undefined ? {} : { object }) };
  const { summary } = await followJob<Undeleted & { readonly interrupted?: boolean }>(context, 'undelete', params, () => undefined);
  if (context.json) context.out.json(summary);
  else if (!context.quiet) context.out.line(`${rowPath(summary)} is there again, as a stub of ${formatSize(summary.size)} as it was on ${summary.mtime}`);
  if (summary.incomplete !== null && !context.json) process.stderr.write(`hsm: ${summary.incomplete}\n`);
  return summary.incomplete === null ? exitCodes.done : exitCodes.partial;
}
