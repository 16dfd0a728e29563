/** `hsm demo`: shows it all on a filesystem of its own. */
import { type Command, Option } from 'commander';
import { action, examples } from './command.ts';

export interface DemoOptions {
  readonly type?: 'ext4' | 'xfs' | 'btrfs';
  readonly keep?: boolean;
}

export function define(command: Command): void {
  command
    .addOption(new Option('--type <type>', 'filesystem to make (default: the first that this machine can make)').choices(['ext4', 'xfs', 'btrfs']))
    .option('--keep', 'leave everything running at the end, and say how to clean up')
    .addHelpText(
      'after',
      `
Makes a filesystem in an image file, fills it with copies of files of this machine that look five years old, archives them,
reads the stubs in every way, compares every byte, and removes everything again. Needs root; takes less than a minute.
${examples('hsm demo', 'hsm demo --type xfs --keep')}`,
    )
    .action(
      action(async (context, options: DemoOptions) => {
        const { runDemo } = await import('./demo/run.ts');
        return runDemo(context, options);
      }),
    );
}
