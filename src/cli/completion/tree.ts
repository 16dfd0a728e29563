/** The commands with their options, as completion scripts need them. */
import type { Command } from 'commander';

export interface CompletedOption {
  readonly short: string | null;
  readonly long: string;
  readonly description: string;
  /** True when a value follows. */
  readonly value: boolean;
  readonly choices: readonly string[];
}

export interface CompletedCommand {
  /** Words from the program on: `[]`, `['tape']`, `['tape', 'ls']`. */
  readonly path: readonly string[];
  readonly description: string;
  readonly options: readonly CompletedOption[];
  readonly subcommands: readonly CompletedCommand[];
  /** Fixed words that its first argument may be. */
  readonly words: readonly string[];
}

export function describeCommands(program: Command): CompletedCommand {
  return describe(program, []);
}

/** A command and all below it. */
export const flatten = (command: CompletedCommand): readonly CompletedCommand[] => [command, ...command.subcommands.flatMap(flatten)];

function describe(command: Command, path: readonly string[]): CompletedCommand {
  const help = command.createHelp();
  const options = help.visibleOptions(command).map((option) => ({
    short: option.short ?? null,
    long: option.long ?? '',
    description: option.description,
    value: option.required || option.optional,
    choices: option.argChoices ?? [],
  }));
  const subcommands = help
    .visibleCommands(command)
    .filter((each) => each.name() !== 'help')
    .map((each) => describe(each, [...path, each.name()]));
  const words = command.registeredArguments[0]?.argChoices ?? [];
  return { path, description: command.description(), options, subcommands, words };
}
