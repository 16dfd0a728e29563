/** `hsm hooks test`: calls the hooks as an event would. */
import type { Command } from 'commander';
import { withClient } from '../daemon/client.ts';
import { exitCodes } from '../errors.ts';
import type { HookResult } from '../monitoring/hooks/hooks.ts';
import { action, examples } from './command.ts';
import { show } from './listing.ts';
import type { Column } from './table.ts';

const columns: readonly Column<HookResult>[] = [
  { title: 'HOOK', value: (row) => row.hook },
  { title: 'RESULT', value: (row) => row.result },
  { title: 'SECONDS', value: (row) => row.seconds.toFixed(2), right: true },
  { title: 'REASON', value: (row) => row.reason },
];

export function define(command: Command): void {
  command
    .command('test')
    .description('call the hooks of the configuration with an event of class test, and say how they ended')
    .addHelpText('after', examples('hsm hooks test'))
    .action(
      action(async (context) => {
        const results = (await withClient(context.config().socket, (client) => client.rows('hooksTest', {}))) as HookResult[];
        show(context, results, columns, 'no hooks');
        return results.every(({ result }) => result === 'ok') ? exitCodes.done : exitCodes.failed;
      }),
    );
}
