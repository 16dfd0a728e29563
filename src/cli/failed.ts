/** `hsm failed`: recalls that failed lately. */
import type { Command } from 'commander';
import { action, examples } from './command.ts';

export function define(command: Command): void {
  command
    .addHelpText('after', `\nThe last hundred that failed within ten minutes. 'hsm retry' recalls them again.\n${examples('hsm failed', `hsm failed --json | jq -r '"\\(.path): \\(.reason)"'`)}`)
    .action(action(async (context) => (await import('./queue-screens.ts')).showFailed(context)));
}
