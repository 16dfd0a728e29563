/** `hsm tape export|import|lock|unlock|label|retire`: volumes that leave, come back, rest, or are given up. */
import type { Command } from 'commander';
import { withClient } from '../daemon/client.ts';
import type { LabelLine, Method, MovedVolumeLine } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes } from '../errors.ts';
import { action, type Context, examples } from './command.ts';
import { followJob } from './job.ts';
import { oneLine } from './printable.ts';

export function defineShelf(command: Command): void {
  const several = (name: string, description: string): Command => command.command(name).description(description).argument('<barcode...>', 'the volumes');
  several('export', 'take volumes out of the library; what recalls want of them waits until they are back')
    .addHelpText('after', examples('hsm tape export ARC101L8', 'hsm tape export ARC101L8 ARC102L8'))
    .action(action((context, barcodes: string[]) => move(context, 'tapeExport', { barcodes })));
  several('import', 'bring exported volumes back: their labels are read first')
    .addHelpText('after', examples('hsm tape import ARC101L8'))
    .action(action((context, barcodes: string[]) => move(context, 'tapeImport', { barcodes })));
  several('lock', 'never append to volumes until they are unlocked')
    .option('--reason <text>', 'why, for those who see it')
    .addHelpText('after', examples('hsm tape lock ARC101L8 --reason "sealed for the auditors"'))
    .action(action((context, barcodes: string[], { reason }: { readonly reason?: string }) => move(context, 'tapeLock', { barcodes, locked: true, ...(reason === undefined ? {} : { reason }) })));
  several('unlock', 'let volumes be appended to again')
    .addHelpText('after', examples('hsm tape unlock ARC101L8'))
    .action(action((context, barcodes: string[]) => move(context, 'tapeLock', { barcodes, locked: false })));
  several('retire', 'take volumes without objects out of the library and the catalogue for good')
    .addHelpText('after', examples('hsm tape reclaim ARC101L8 && hsm tape retire ARC101L8'))
    .action(action((context, barcodes: string[]) => move(context, 'tapeRetire', { barcodes })));
  command
    .command('label')
    .description('read the label on the tape and compare it with the catalogue')
    .argument('<barcode>', 'the volume')
    .addHelpText('after', examples('hsm tape label ARC101L8'))
    .action(action((context, barcode: string) => showLabel(context, barcode)));
}

async function move(context: Context, method: Method, params: Readonly<Record<string, unknown>>): Promise<ExitCode> {
  const { interrupted } = await followJob(context, method, params, (row) => {
    const { barcode, state, location } = row as MovedVolumeLine;
    if (context.json) context.out.json(row);
    else if (!context.quiet) context.out.line(oneLine(`${barcode} is ${state}${location === null ? '' : `: ${location}`}`));
  });
  return interrupted ? exitCodes.interrupted : exitCodes.done;
}

async function showLabel(context: Context, barcode: string): Promise<ExitCode> {
  const found = (await withClient(context.config().socket, (client) => client.call('tapeLabel', { barcode }))) as LabelLine;
  if (context.json) context.out.json(found);
  else context.out.line(oneLine(inWords(found)));
  return found.isRight || found.label === 'blank' ? exitCodes.done : exitCodes.failed;
}

function inWords({ barcode, label, serial, isRight }: LabelLine): string {
  if (label === 'blank') return `${barcode} is blank`;
  if (label === null) return `${barcode} has no label of hsm`;
  const found = `${barcode} is labelled ${label}${serial === null ? '' : `, serial ${serial}`}`;
  return isRight ? found : `${found}, which is not what the catalogue has`;
}
