/** `hsm drive`: the drives, and which of them may be used. */
import type { Command } from 'commander';
import { withClient } from '../daemon/client.ts';
import type { DriveLine } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes } from '../errors.ts';
import { driveColumns } from './columns.ts';
import { action, type Context, examples } from './command.ts';
import { list } from './listing.ts';
import { printable } from './printable.ts';
import { tableLines } from './table.ts';
import { useLines } from './use.ts';

export function define(command: Command): void {
  command
    .command('ls')
    .description('list drives, what they hold and whether they may be used')
    .addHelpText('after', examples('hsm drive ls'))
    .action(action((context) => list<DriveLine>(context, 'drives', {}, driveColumns, 'no drives')));
  command
    .command('show')
    .description('show what a drive has been through, and what it tells of itself')
    .argument('<name>', "a drive, such as drive0 ('hsm drive ls')")
    .addHelpText('after', examples('hsm drive show drive0', 'hsm drive show drive0 --json | jq .use'))
    .action(action((context, name: string) => showDrive(context, name)));
  command
    .command('clean')
    .description('clean a drive with a cleaning cartridge of the library, which takes minutes')
    .argument('<name>', "a drive, such as drive0 ('hsm drive ls')")
    .addHelpText('after', examples('hsm drive clean drive0'))
    .action(action((context, name: string) => cleanDrive(context, name)));
  command
    .command('up')
    .description('let a drive be used again')
    .argument('<name>', "a drive, such as drive0 ('hsm drive ls')")
    .option('--reason <text>', 'why')
    .addHelpText('after', examples('hsm drive up drive0'))
    .action(action((context, name: string, options: { readonly reason?: string }) => setDrive(context, name, 'up', options.reason ?? null)));
  command
    .command('down')
    .description('let a drive finish what it does and not use it any more')
    .argument('<name>', "a drive, such as drive0 ('hsm drive ls')")
    .requiredOption('--reason <text>', 'why: everybody will see it')
    .addHelpText('after', examples('hsm drive down drive0 --reason "cleaning, ticket 4711"'))
    .action(action((context, name: string, options: { readonly reason: string }) => setDrive(context, name, 'down', options.reason)));
}

async function cleanDrive(context: Context, name: string): Promise<ExitCode> {
  const done = (await withClient(context.config().socket, (client) => client.call('driveClean', { name }))) as { readonly barcode: string; readonly usesLeft: number };
  if (context.json) context.out.json(done);
  else if (!context.quiet) context.out.line(printable(`${name} was cleaned with ${done.barcode}, which has ${done.usesLeft} uses left`));
  return exitCodes.done;
}

async function showDrive(context: Context, name: string): Promise<ExitCode> {
  const drive = (await withClient(context.config().socket, (client) => client.call('drive', { name }))) as DriveLine;
  if (context.json) context.out.json(drive);
  else {
    const lines = [...tableLines([drive], driveColumns), `serial   ${drive.serial ?? 'not known'}`, ...useLines(drive.use, drive.health)];
    for (const line of lines) context.out.line(printable(line));
  }
  return exitCodes.done;
}

async function setDrive(context: Context, name: string, admin: 'up' | 'down', reason: string | null): Promise<ExitCode> {
  await withClient(context.config().socket, (client) => client.call('setDrive', { name, admin, reason }));
  if (context.json) context.out.json({ name, admin, reason });
  else if (!context.quiet) context.out.line(`${name} is ${admin}`);
  return exitCodes.done;
}
