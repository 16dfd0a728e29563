/** `hsm doctor`: what is wrong on this machine, and what to do. */
import type { Command } from 'commander';
import { exitCodes } from '../errors.ts';
import { action, examples } from './command.ts';
import { oneLine } from './printable.ts';

export function define(command: Command): void {
  command
    .option('--deep <dir>', 'read and change stubs in every way, in a new folder in this directory')
    .addHelpText(
      'after',
      `
Each line is ok, warn (works, with a drawback) or fail (does not work); the exit code is 1 when something fails. Run it as
root to have everything checked. It changes nothing and reads no stub.

--deep DIR needs a running daemon: in a new folder in DIR, on a managed filesystem, it makes some hundred small files, archives
them, reads and changes each in another way, as root and as nobody, compares every byte, and removes the folder. Each way is
right, wrong, refused (an error, and the reason why), or unavailable here. Some 30 MB of tape are used.
${examples('hsm doctor', `hsm doctor --json | jq -r 'select(.status == "fail") | .advice'`, 'hsm doctor --deep /data')}`,
    )
    .action(
      action(async (context, { deep }: { readonly deep?: string }) => {
        if (deep !== undefined) {
          const { examineDeeply } = await import('./doctor/deep.ts');
          return examineDeeply(context, deep);
        }
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
