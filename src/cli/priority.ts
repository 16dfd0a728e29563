/** `hsm priority`: lets requests go sooner or later than others. */
import type { Command } from 'commander';
import { usageError } from '../errors.ts';
import { action, examples } from './command.ts';
import { steer } from './steer.ts';

export function define(command: Command): void {
  command
    .argument('<priority>', 'a whole number of 0 to 1000; what a process waits for begins with 100, what only a job wants with 50')
    .argument('<id...>', "requests such as r12 ('hsm queue')")
    .addHelpText('after', examples('hsm priority 200 r12', 'hsm priority 10 r13 r14 r15'))
    .action(
      action((context, priority: string, ids: string[]) => {
        if (!/^\d{1,4}$/.test(priority)) throw usageError(`'${priority}' is no priority: it must be a whole number of 0 to 1000`);
        return steer(context, 'setPriority', { ids, priority: Number(priority) }, `priority ${priority}: ${ids.join(' ')}`);
      }),
    );
}
