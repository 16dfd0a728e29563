/** `hsm hold` and `hsm unhold`: volumes that are not read until an operator lets them be. */
import type { Command } from 'commander';
import { type ExitCode, exitCodes } from '../errors.ts';
import { action, examples } from './command.ts';
import { report } from './report.ts';
import { steer } from './steer.ts';

export function define(command: Command): void {
  const holds = command.name() === 'hold';
  command.argument('<barcode...>', "volumes ('hsm tape ls')");
  if (holds) command.option('--reason <text>', 'why: everybody will see it');
  command.addHelpText('after', `\nRecalls from a held volume wait. It survives a restart of the daemon.\n${examples(...(holds ? ['hsm hold --reason "squeaks" HSM001L8'] : ['hsm unhold HSM001L8']))}`).action(
    action(async (context, barcodes: string[], options: { readonly reason?: string }): Promise<ExitCode> => {
      const codes: ExitCode[] = [];
      for (const name of barcodes) {
        const steered = holds
          ? steer(context, 'pause', { kind: 'volume', name, reason: options.reason ?? null }, `${name} is held`)
          : steer(context, 'resume', { kind: 'volume', name }, `${name} may be read`);
        // One that there is not keeps no other one from being held.
        codes.push(await steered.catch((error: unknown) => report(error, context.json)));
      }
      return codes.includes(exitCodes.done) && codes.some((code) => code !== exitCodes.done) ? exitCodes.partial : (codes[0] ?? exitCodes.done);
    }),
  );
}
