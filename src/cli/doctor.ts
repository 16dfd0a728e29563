/** `hsm doctor`: what is wrong on this machine, and what to do. */
import type { Command } from 'commander';
import { exitCodes } from '../errors.ts';
import { action, examples } from './command.ts';
import { oneLine } from './printable.ts';

export function define(command: Command): void {
  command
    .addHelpText(
      'after',
      `
Each line is ok, warn (works, with a drawback) or fail (does not work); the exit code is 1 when something fails. Run it as
root to have everything checked. It changes nothing and reads no stub.
${examples('hsm doctor', `hsm doctor --json | jq -r 'select(.status == "fail") | .advice'`)}`,
    )
    .action(
      action(async (context) => {
        const { examine } = await import('./doctor/examine.ts');
        const findings = await examine(context.configFile);
        for (const { check, status, message, advice } of findings) {
          if (context.json) context.out.json({ check, status, message, advice });
          else if (!context.quiet || status !== 'ok') {
            context.out.line(oneLine(`${status.padEnd(4)}  ${check.padEnd(10)}  ${message}`));
            if (advice !== null) context.out.line(oneLine(`${' '.repeat(18)}-> ${advice}`));
          }
        }
        return findings.some(({ status }) => status === 'fail') ? exitCodes.failed : exitCodes.done;
      }),
    );
}
