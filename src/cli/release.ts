/** `hsm release`: archived files give up their data on disk. */
import type { Command } from 'commander';
import { action, examples } from './command.ts';
import { transfer } from './transfer.ts';

interface Options {
  readonly files0From?: string;
  readonly verbose?: boolean;
}

export function define(command: Command): void {
  command
    .argument('[path...]', 'archived files, or directories with all below them')
    .option('--files0-from <file>', 'read paths from a file, each ended by a NUL byte; - is standard input')
    .option('-v, --verbose', 'a line for each file')
    .addHelpText('after', `\nOnly files whose copies are all on tape, verified and unchanged since, are released; nothing is written to tape.\n${examples('hsm release /data/projects/2019', 'hsm release --verbose /data/big.iso')}`)
    .action(
      action((context, paths: string[], options: Options) =>
        transfer(context, {
          method: 'release',
          params: {},
          paths,
          verbose: options.verbose ?? false,
          ...(options.files0From === undefined ? {} : { files0From: options.files0From }),
        }),
      ),
    );
}
