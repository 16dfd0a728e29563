/** `hsm tape`: the volumes. */
import type { Command } from 'commander';
import { withClient } from '../daemon/client.ts';
import type { ObjectLine, VolumeLine } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes, usageError } from '../errors.ts';
import { formatSize } from '../units.ts';
import { rowPath, volumeColumns } from './columns.ts';
import { action, type Context, examples } from './command.ts';
import { list, show } from './listing.ts';
import { count, size } from './options.ts';
import { printable } from './printable.ts';
import { type Column, tableLines } from './table.ts';
import { defineReclaim } from './tape-reclaim.ts';
import { defineShelf } from './tape-shelf.ts';
import { useLines } from './use.ts';

interface AddOptions {
  readonly count?: number;
  readonly pool?: string;
  readonly capacity?: number;
}

export function define(command: Command): void {
  command
    .command('ls')
    .description('list volumes with pool, state, place and use')
    .addHelpText('after', examples('hsm tape ls', `hsm tape ls --json | jq -r 'select(.state == "full") | .barcode'`))
    .action(action((context) => list<VolumeLine>(context, 'tapes', {}, volumeColumns, `no volumes: add some with 'hsm tape add'`)));
  command
    .command('show')
    .description('show a volume and the objects on it, in tape order')
    .argument('<barcode>', 'the volume')
    .addHelpText('after', examples('hsm tape show HSM001L8'))
    .action(action((context, barcode: string) => showVolume(context, barcode)));
  command
    .command('add')
    .description('make new cartridges of a virtual library, or take those of a real one, into the catalogue')
    .argument('[barcode...]', 'barcodes of up to 8 letters and digits (default: the next free ones; of a real library, all that are new)')
    .option('--count <n>', 'how many, instead of naming them', count)
    .option('--pool <pool>', 'the pool they belong to (default: whichever needs one first)')
    .option('--capacity <size>', 'capacity of each (default: as the newest that is there)', size)
    .addHelpText('after', examples('hsm tape add --count 5', 'hsm tape add --pool second --capacity 1T ARC101L8 ARC102L8'))
    .action(action((context, barcodes: string[], options: AddOptions) => addVolumes(context, barcodes, options)));
  command
    .command('format')
    .description('write a fresh label on a volume without objects, and make it scratch')
    .argument('<barcode>', 'the volume')
    .option('--force', "also where the tape bears another volume's label or data that hsm did not write")
    .addHelpText('after', examples('hsm tape format ARC101L8', 'hsm tape format --force ARC101L8'))
    .action(action((context, barcode: string, options: { readonly force?: true }) => formatVolume(context, barcode, options.force === true)));
  defineReclaim(command.command('reclaim').description('copy what is needed off volumes, so that they can be written anew'));
  defineShelf(command);
}

async function formatVolume(context: Context, barcode: string, force: boolean): Promise<ExitCode> {
  await withClient(context.config().socket, (client) => client.call('tapeFormat', { barcode, force }));
  if (context.json) context.out.json({ barcode, state: 'scratch' });
  else if (!context.quiet) context.out.line(`${barcode} is scratch`);
  return exitCodes.done;
}

const objectColumns: readonly Column<ObjectLine>[] = [
  { title: 'CONTAINER', value: (row) => row.container, right: true },
  { title: 'OFFSET', value: (row) => row.offset, right: true },
  { title: 'SIZE', value: (row) => formatSize(row.size), right: true },
  { title: 'OBJECT', value: (row) => row.object },
  { title: 'PATH', value: (row) => rowPath(row) },
];

async function showVolume(context: Context, barcode: string): Promise<ExitCode> {
  const [volume, ...objects] = (await withClient(context.config().socket, (client) => client.rows('tape', { barcode }))) as [VolumeLine, ...ObjectLine[]];
  if (context.json) for (const row of [volume, ...objects]) context.out.json(row);
  else {
    for (const line of [...tableLines([volume], volumeColumns), ...useLines(volume.use, volume.health)]) context.out.line(printable(line));
    if (objects.length > 0) for (const line of ['', ...tableLines(objects, objectColumns)]) context.out.line(line);
  }
  return exitCodes.done;
}

async function addVolumes(context: Context, barcodes: readonly string[], options: AddOptions): Promise<ExitCode> {
  if (barcodes.length > 0 && options.count !== undefined) throw usageError('name the barcodes or give --count, not both');
  const bad = barcodes.find((each) => !/^[0-9A-Z]{1,8}$/.test(each));
  if (bad !== undefined) throw usageError(`'${bad}' is no barcode: it must be at most 8 capital letters and digits, such as ARC101L8`);
  const params = { barcodes, count: options.count ?? (barcodes.length > 0 ? barcodes.length : 1), pool: options.pool ?? null, capacity: options.capacity ?? null };
  const added = (await withClient(context.config().socket, (client) => client.rows('tapeAdd', params))) as VolumeLine[];
  show(context, added, volumeColumns, 'no volume was added: the catalogue knows all cartridges that are in the library');
  return exitCodes.done;
}
