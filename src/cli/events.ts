/** `hsm events`: what was done and by whom, newest first. */
import type { Command } from 'commander';
import type { EventLine } from '../daemon/protocol.ts';
import { action, examples } from './command.ts';
import { list } from './listing.ts';
import { count } from './options.ts';
import type { Column } from './table.ts';

export function define(command: Command): void {
  command
    .option('--limit <n>', 'at most so many', count, 50)
    .addHelpText('after', examples('hsm events', `hsm events --limit 1000 --json | jq 'select(.kind == "cancel")'`))
    .action(
      action(async (context, options: { readonly limit: number }) => {
        const [{ eventInWords }, { userNames }] = await Promise.all([import('../tui/listings/work.ts'), import('./users.ts')]);
        const userName = userNames();
        const columns: readonly Column<EventLine>[] = [
          { title: 'TIME', value: (row) => row.at },
          { title: 'WHAT', value: (row) => row.kind },
          { title: 'BY', value: (row) => (row.uid === null ? null : userName(row.uid)) },
          { title: 'PID', value: (row) => row.pid, right: true },
          { title: 'DETAILS', value: eventInWords },
        ];
        return list(context, 'events', { limit: options.limit }, columns, 'nothing was logged yet');
      }),
    );
}
