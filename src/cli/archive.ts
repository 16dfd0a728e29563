/** `hsm archive`: the main job. */
import { type Command, Option } from 'commander';
import type { ArchiveParams } from '../daemon/protocol.ts';
import { exitCodes, HsmError } from '../errors.ts';
import { action, examples } from './command.ts';
import { age, names, repeated, size } from './options.ts';
import { transfer } from './transfer.ts';

interface Options {
  readonly olderThan?: number;
  readonly largerThan?: number;
  readonly by: ArchiveParams['by'];
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly pool?: readonly string[];
  readonly keepData?: boolean;
  readonly dryRun?: boolean;
  readonly files0From?: string;
  readonly verbose?: boolean;
}

export function define(command: Command): void {
  command
    .argument('[path...]', 'files and directories on a managed filesystem; directories with all below them')
    .option('--older-than <age>', 'needed: only files not used for so long: 4y 18mo 90d 12h 30m 10s', age)
    .option('--larger-than <size>', 'only files larger than this: 512K 1M 2G, or 1GB', size)
    .addOption(new Option('--by <time>', 'which time counts; used: the later of atime and mtime').choices(['used', 'mtime', 'atime']).default('used'))
    .option('--include <glob>', 'only files that match (repeatable)', repeated)
    .option('--exclude <glob>', 'not files that match (repeatable)', repeated)
    .option('--pool <pool>', 'a copy to this pool; repeat it, or separate names by commas, for more copies', names)
    .option('--keep-data', 'copy to tape, but leave the data on disk too')
    .option('--dry-run', 'only say what would be done')
    .option('--files0-from <file>', 'read paths from a file, each ended by a NUL byte; - is standard input')
    .option('-v, --verbose', 'a line for each file')
    .addHelpText(
      'after',
      `
Globs: * any characters but /, ** any with /, ? one, [a-z] a set, {a,b} either. A glob without / is matched against the
base name, any other against the path below the named PATH.

A file that is open, changed meanwhile, too young or already on tape is skipped and counted. ^C stops after the current
container; run the command again to go on.
${examples('hsm archive --older-than 4y /data', "hsm archive --older-than 90d --larger-than 1M --exclude '*.tmp' --dry-run /data/projects", 'hsm archive --older-than 1y --pool first,second --keep-data /data', 'find /data/raw -name "*.dat" -print0 | hsm archive --older-than 0s --files0-from -')}`,
    )
    .action(
      action((context, paths: string[], options: Options) => {
        // Checked here, so that a misspelt --older-than is called by its name first.
        if (options.olderThan === undefined) throw new HsmError('USAGE', "say how old files must be, such as --older-than 4y: run 'hsm archive --help'", { exit: exitCodes.usage });
        const params: Omit<ArchiveParams, 'paths' | 'verbose'> = {
          olderThan: options.olderThan,
          ...(options.largerThan === undefined ? {} : { largerThan: options.largerThan }),
          by: options.by,
          include: options.include ?? [],
          exclude: options.exclude ?? [],
          pools: options.pool ?? context.config().archive.pools,
          keepData: options.keepData ?? false,
          dryRun: options.dryRun ?? false,
        };
        return transfer(context, {
          method: 'archive',
          params,
          paths,
          verbose: options.verbose ?? false,
          dryRun: params.dryRun,
          ...(options.files0From === undefined ? {} : { files0From: options.files0From }),
        });
      }),
    );
}
