/** What every command file is made of: `define(command)` sets arguments, options, help and the action. */
import type { Command } from 'commander';
import { configPath, type Config, loadConfig } from '../config.ts';
import type { ExitCode } from '../errors.ts';
import { Output } from './output.ts';

/** A command file. */
export interface CommandModule {
  readonly define: (command: Command) => void;
}

/** The global options and the way out, as an action gets them. */
export interface Context {
  readonly configFile: string;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly out: Output;
  /** Reads and checks the config file: `CONFIG`, exit 2. */
  readonly config: () => Config;
}

interface Globals {
  readonly config?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/**
 * Wraps an action for commander: it gets the context, then the command's arguments and its options, and resolves with the
 * exit code. What it throws is reported by main.ts.
 */
export function action<Arguments extends readonly unknown[]>(run: (context: Context, ...args: Arguments) => Promise<ExitCode>): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command;
    const globals: Globals = command.optsWithGlobals();
    const configFile = configPath(globals.config);
    const out = new Output(process.stdout);
    const context: Context = { configFile, json: globals.json ?? false, quiet: globals.quiet ?? false, out, config: () => loadConfig(configFile) };
    try {
      process.exitCode = await run(context, ...(args.slice(0, -1) as unknown as Arguments));
    } finally {
      out.flush();
    }
  };
}

/** Help text that ends each command's --help. */
export const examples = (...lines: readonly string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;
