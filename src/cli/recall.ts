/** `hsm recall`: brings data back in tape order. */
import type { Command } from 'commander';
import { action, examples } from './command.ts';
import { transfer } from './transfer.ts';

interface Options {
  readonly files0From?: string;
  readonly verbose?: boolean;
}

export function define(command: Command): void {
  command
    .argument('[path...]', 'stubs, or directories with all below them')
    .option('--files0-from <file>', 'read paths from a file, each ended by a NUL byte; - is standard input')
    .option('-v, --verbose', 'a line for each file')
    .addHelpText('after', `\nStubs come back sorted by volume and position, so one long list is faster than many short ones.\n${examples('hsm recall /data/projects/2019', 'hsm recall --json --verbose /data/big.iso')}`)
    .action(
      action((context, paths: string[], options: Options) =>
        transfer(context, {
          method: 'recall',
          params: {},
          paths,
          verbose: options.verbose ?? false,
          ...(options.files0From === undefined ? {} : { files0From: options.files0From }),
        }),
      ),
    );
}
