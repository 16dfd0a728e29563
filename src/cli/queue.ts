/** `hsm queue`: recall requests and who waits for them. */
import { type Command, Option } from 'commander';
import type { QueueLine } from '../daemon/protocol.ts';
import type { Group } from '../tui/listings/groups.ts';
import { formatDuration, formatSize } from '../units.ts';
import { rowPath } from './columns.ts';
import { action, examples } from './command.ts';
import { list } from './listing.ts';
import type { Column } from './table.ts';

const columns: readonly Column<QueueLine>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'STATE', value: (row) => row.state },
  { title: 'VOLUME', value: (row) => row.volume },
  { title: 'POS', value: (row) => row.position, right: true },
  { title: 'SIZE', value: (row) => formatSize(row.size), right: true },
  { title: 'DONE', value: (row) => (row.size === 0 ? null : `${Math.floor((100 * row.done) / row.size)}%`), right: true },
  { title: 'ETA', value: (row) => (row.eta === null ? null : formatDuration(row.eta)), right: true },
  { title: 'AGE', value: (row) => formatDuration(row.age), right: true },
  { title: 'WAITERS', value: (row) => waiters(row) },
  { title: 'PATH', value: (row) => rowPath(row) },
  { title: 'REASON', value: (row) => row.reason },
];

export function define(command: Command): void {
  command
    .addOption(new Option('--per <what>', 'add up the requests of each').choices(['tape', 'user', 'program']))
    .addHelpText('after', `\nUsers other than root and the group hsm see the requests that their own processes wait for.\n${examples('hsm queue', 'hsm queue --per user', `hsm queue --json | jq -r 'select(.state == "failed") | .path'`)}`)
    .action(
      action(async (context, { per }: { readonly per?: Group['by'] }) => {
        if (per === undefined) return list(context, 'queue', {}, columns, 'no recall is waiting');
        const { showGroups } = await import('./queue-screens.ts');
        return showGroups(context, per);
      }),
    );
}

function waiters({ waiters: all }: QueueLine): string | null {
  const first = all[0];
  if (first === undefined) return null;
  const program = first.exe === null ? '' : ` ${first.exe.split('/').at(-1) ?? ''}`;
  return `${first.pid}${program}${all.length > 1 ? ` and ${all.length - 1} more` : ''}`;
}
