/** `hsm restore-tree`: the files of a lost filesystem as stubs on a new one. */
import type { Command } from 'commander';
import { connect, type Client } from '../daemon/client.ts';
import type { FileRowLine, LostFilesystemLine } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes } from '../errors.ts';
import type { RestoreTreeSummary } from '../recovery/restore-tree.ts';
import { formatSize } from '../units.ts';
import { action, type Context, examples } from './command.ts';
import { onInterrupt } from './interrupt.ts';
import { absolute, bytesOfArguments, wirePath } from './paths.ts';
import { oneLine, printable } from './printable.ts';
import { ProgressView } from './progress.ts';

interface Options {
  readonly from?: string;
  readonly into?: string;
  readonly list?: boolean;
  readonly verbose?: boolean;
}

export function define(command: Command): void {
  command
    .argument('[path...]', 'only these files and directories, where they are to be')
    .option('--from <filesystem>', 'path or UUID of the filesystem that is lost (default: the one that was mounted where the new one is)')
    .option('--into <mnt>', 'mount point of the managed filesystem that they go to (default: the only one)')
    .option('--list', 'list the filesystems that are lost, and how many files they had')
    .option('-v, --verbose', 'a line for every file')
    .addHelpText(
      'after',
      `
Every file of the lost filesystem that is on tape becomes a stub: owner, mode, times, ACLs, extended attributes and hard
links are as its header on tape has them, so all containers that hold such files are read. Nothing is replaced. What was
never archived is not there: files without data, symbolic links, and what directories were like. Directories that are
missing are made with mode 0700, for the owner of all files below or else for root; make them beforehand if you know better.

Run it again after an interruption: it goes on.
${examples('hsm restore-tree --list', 'hsm restore-tree --into /data', 'hsm restore-tree --from 9a6c2f0e-0d6b-4b6e-8f0e-2f2f3d1c7a55 /data/projects')}`,
    )
    .action(action((context, paths: string[], options: Options) => (options.list === true ? list(context) : restore(context, paths, options))));
}

async function list(context: Context): Promise<ExitCode> {
  const client = await connect(context.config().socket);
  try {
    const rows: LostFilesystemLine[] = [];
    await client.start('lostFilesystems', {}, { row: (row) => void rows.push(row as LostFilesystemLine) }).result;
    for (const row of rows) {
      if (context.json) context.out.json(row);
      else context.out.line(`${row.uuid}  ${row.files.toLocaleString('en-US')} files  `, context.out.name(row.path));
    }
    if (rows.length === 0 && !context.json && !context.quiet) context.out.line('no filesystem is lost: all that the catalogue has files of are managed now');
    return exitCodes.done;
  } finally {
    client.close();
  }
}

async function restore(context: Context, args: readonly string[], { from, into, verbose = false }: Options): Promise<ExitCode> {
  const paths = bytesOfArguments(args).map((path) => wirePath(absolute(path)));
  const view = context.json || context.quiet ? null : new ProgressView(process.stderr);
  const client: Client = await connect(context.config().socket);
  // Before the request is on its way: from then on a ^C must reach the job.
  const interrupt = onInterrupt(() => void started.cancel().catch(() => undefined));
  const started = client.start(
    'restoreTree',
    { ...(from === undefined ? {} : { from }), ...(into === undefined ? {} : { into }), ...(paths.length === 0 ? {} : { paths }), verbose },
    {
      row: (row) => {
        view?.clear();
        showRow(context, row as FileRowLine);
      },
      progress: (progress) => view?.update(progress),
    },
  );
  try {
    const summary = (await started.result) as RestoreTreeSummary;
    view?.clear();
    showSummary(context, summary);
    if (interrupt.seen || summary.interrupted === true) return exitCodes.interrupted;
    if (summary.failed + summary.incomplete === 0) return exitCodes.done;
    return summary.restored > 0 ? exitCodes.partial : exitCodes.failed;
  } finally {
    view?.clear();
    interrupt.off();
    client.close();
  }
}

function showRow({ json, out }: Context, row: FileRowLine): void {
  if (json) {
    out.json(row);
    return;
  }
  const path = row.pathBase64 === undefined ? row.path : Buffer.from(row.pathBase64, 'base64');
  if (row.result === 'failed' || row.result === 'incomplete') process.stderr.write(`hsm: ${printable(path)}: ${oneLine(row.reason ?? row.result)}\n`);
  else out.line(row.result.padEnd(9), out.name(path), row.reason === undefined ? '' : ` (${row.reason === 'exists' ? 'something is there' : oneLine(row.reason)})`);
}

function showSummary({ json, quiet, out }: Context, summary: RestoreTreeSummary): void {
  if (json) {
    out.json(summary);
    return;
  }
  const number = (value: number, one: string, many: string) => `${value.toLocaleString('en-US')} ${value === 1 ? one : many}`;
  const { restored, links, directories, bytes, skipped, incomplete, failed } = summary;
  if (!quiet) {
    const more = [links > 0 ? number(links, 'hard link', 'hard links') : '', directories > 0 ? number(directories, 'directory', 'directories') : ''].filter((each) => each !== '');
    out.line(`restored ${number(restored, 'stub', 'stubs')}${bytes > 0 ? ` (${formatSize(bytes)})` : ''}${more.length === 0 ? '' : `, ${more.join(', ')}`}`);
    if ((skipped['exists'] ?? 0) > 0) out.line(`skipped ${number(skipped['exists'] ?? 0, 'file', 'files')}: something is there already`);
  }
  if (incomplete > 0) out.line(`${number(incomplete, 'stub lacks', 'stubs lack')} an attribute`);
  if (failed > 0) out.line(`failed ${number(failed, 'file', 'files')}`);
  if (summary.interrupted === true && !quiet) out.line('stopped before the end: run it again to go on');
}
