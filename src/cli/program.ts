/** The commander program: every command by name, with options and help only for those that are asked for. */
import { Command, type CommanderError } from 'commander';
import { type HsmError, usageError } from '../errors.ts';
import { version } from '../version.ts';
import { commands } from './commands.ts';
import { examples } from './command.ts';

/** `argv` is what follows the script's name. Imports the file of the command that `argv` names, or of all for `'all'`. */
export async function buildProgram(argv: readonly string[] | 'all'): Promise<Command> {
  const program = new Command('hsm');
  program
    .description('Tape archive HSM: cold files move to tape and come back when somebody reads them.')
    .option('--config <file>', 'config file (default: /etc/hsm/hsm.toml, or $HSM_CONFIG)')
    .option('--json', 'results as JSON lines, errors as one JSON object')
    .option('--quiet', 'no progress, no notes')
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .configureHelp({ showGlobalOptions: true, helpWidth: 110 })
    .configureOutput({ writeErr: () => undefined })
    .exitOverride()
    .addHelpText(
      'after',
      `${examples('hsm init --filesystem /data --library /srv/tapes', 'hsm daemon', 'hsm archive --older-than 4y /data', 'hsm ls -l /data/projects')}

Exit codes: 0 done, 1 failed, 2 usage or config, 3 done in part, 4 daemon not running, 5 refused for safety, 130 interrupted.`,
    );
  const wanted = argv === 'all' ? null : commandName(argv);
  for (const { name, summary, hidden, load } of commands) {
    const command = program.command(name, { hidden: hidden ?? false }).description(summary);
    if (wanted === null || wanted === name) (await load()).define(command);
  }
  return program;
}

/** The first word of `argv` that is neither an option nor an option's value; after `help`, the next one. */
function commandName(argv: readonly string[]): string {
  const words: string[] = [];
  for (let i = 0; i < argv.length && argv[i] !== '--'; i += 1) {
    const word = argv[i] as string;
    if (word === '--config') i += 1;
    else if (!word.startsWith('-')) words.push(word);
  }
  return (words[0] === 'help' ? words[1] : words[0]) ?? '';
}

/** What commander complains of as a usage error in one line; null when it only printed help or the version. */
export function commanderProblem(error: CommanderError, argv: readonly string[]): HsmError | null {
  if (error.exitCode === 0) return null;
  const name = commandName(argv);
  const known = commands.some((each) => each.name === name);
  const help = `run 'hsm ${known ? `${name} ` : ''}--help'`;
  if (error.code === 'commander.help') return usageError(name === '' ? `no command given: ${help}` : `'hsm ${name}' needs a command of its own: ${help}`);
  const message = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ').replace(/\.$/, '');
  return usageError(`${message}: ${help}`);
}
