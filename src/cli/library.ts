/** `hsm library`: what sits in slots and drives. */
import type { Command } from 'commander';
import type { ElementLine } from '../daemon/protocol.ts';
import { action, examples } from './command.ts';
import { list } from './listing.ts';
import type { Column } from './table.ts';

const columns: readonly Column<ElementLine>[] = [
  { title: 'LOCATION', value: (row) => row.location },
  { title: 'BARCODE', value: (row) => row.barcode ?? '-' },
  { title: 'STATE', value: (row) => row.state ?? (row.barcode === null ? '-' : 'unknown: hsm tape add') },
];

export function define(command: Command): void {
  command
    .command('inventory')
    .description('look at every slot and drive, and list the cartridges that are there')
    .option('--no-scan', 'from memory, without moving the robot')
    .addHelpText('after', examples('hsm library inventory', `hsm library inventory --no-scan --json | jq -r 'select(.barcode and .state == null) | .barcode'`))
    .action(action((context, options: { readonly scan: boolean }) => list<ElementLine>(context, 'inventory', { rescan: options.scan }, columns, 'no slots')));
}
