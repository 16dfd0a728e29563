/** `hsm completion`: a completion script for the user's shell, made from the commands themselves. */
import { Argument, type Command } from 'commander';
import { exitCodes } from '../errors.ts';
import { action, examples } from './command.ts';
import { bashCompletion } from './completion/bash.ts';
import { fishCompletion } from './completion/fish.ts';
import { describeCommands } from './completion/tree.ts';
import { zshCompletion } from './completion/zsh.ts';
import { buildProgram } from './program.ts';

const shells = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

export function define(command: Command): void {
  command
    .addArgument(new Argument('<shell>', 'your shell').choices(Object.keys(shells)))
    .addHelpText('after', examples('hsm completion bash > /etc/bash_completion.d/hsm', 'hsm completion zsh > "${fpath[1]}/_hsm"', 'hsm completion fish > ~/.config/fish/completions/hsm.fish'))
    .action(
      action(async (context, shell: keyof typeof shells) => {
        context.out.line(shells[shell](describeCommands(await buildProgram('all'))));
        return exitCodes.done;
      }),
    );
}
