/** `hsm ls`: files with their state and place on tape. Opens no file, so it recalls nothing. */
import type { Command } from 'commander';
import { action, examples } from './command.ts';

interface Options {
  readonly long?: boolean;
  readonly recursive?: boolean;
}

export function define(command: Command): void {
  command
    .argument('[path...]', 'files, or directories whose files are listed (default: the working folder)')
    .option('-l, --long', 'state, size, time and place of each file')
    .option('-R, --recursive', 'all files below too')
    .addHelpText(
      'after',
      `
States: resident (on disk only), archiving, archived (on disk and on tape), stub (on tape only), recalling.
Only regular files are listed, sorted by path. Links are not followed, nor are other filesystems below a directory.
${examples('hsm ls -l /data/projects', 'hsm ls -R --json /data | jq -r \'select(.state == "stub") | .path\'')}`,
    )
    .action(
      action(async (context, paths: string[], options: Options) => {
        const { listFiles } = await import('./ls/list.ts');
        return listFiles(context, paths.length === 0 ? ['.'] : paths, { long: options.long ?? false, recursive: options.recursive ?? false });
      }),
    );
}
