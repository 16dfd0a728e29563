/** `hsm hold` and `hsm unhold`: volumes that are not read until an operator lets them be. */
import type { Command } from 'commander';
import { type ExitCode, exitCodes } from '../errors.ts';
import { action, examples } from './command.ts';
import { steer } from './steer.ts';

export function define(command: Command): void {
  const holds = command.name() === 'hold';
  command.argument('<barcode...>', "volumes ('hsm tape ls')");
  if (holds) command.option('--reason <text>', 'why: everybody will see it');
  command.addHelpText('after', `\nRecalls from a held volume wait. It survives a restart of the daemon.\n${examples(...(holds ? ['hsm hold --reason "squeaks" HSM001L8'] : ['hsm unhold HSM001L8']))}`).action(
    action(async (context, barcodes: string[], options: { readonly reason?: string }): Promise<ExitCode> => {
      for (const name of barcodes) {
        if (holds) await steer(context, 'pause', { kind: 'volume', name, reason: options.reason ?? null }, `${name} is held`);
        else await steer(context, 'resume', { kind: 'volume', name }, `${name} may be read`);
      }
      return exitCodes.done;
    }),
  );
}
