/** `hsm blocked`: processes that wait for data. */
import type { Command } from 'commander';
import { action, examples } from './command.ts';

export function define(command: Command): void {
  command
    .addHelpText('after', `\nUsers other than root and the group hsm see their own requests.\n${examples('hsm blocked', 'hsm blocked --json | jq .pid')}`)
    .action(action(async (context) => (await import('./queue-screens.ts')).showBlocked(context)));
}
