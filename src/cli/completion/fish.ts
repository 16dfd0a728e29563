/** Completion for fish. */
import { type CompletedCommand, type CompletedOption, flatten } from './tree.ts';

export function fishCompletion(program: CompletedCommand): string {
  const lines = ['# fish completion for hsm: hsm completion fish > ~/.config/fish/completions/hsm.fish', ...program.options.map((option) => optionLine(option, null))];
  for (const command of flatten(program)) {
    for (const sub of command.subcommands) lines.push(`complete -c hsm -f -n ${quote(within(command, true))} -a ${sub.path.at(-1)} -d ${quote(sub.description)}`);
    if (command.words.length > 0) lines.push(`complete -c hsm -f -n ${quote(within(command, false))} -a ${quote(command.words.join(' '))}`);
    if (command.path.length > 0) for (const option of command.options.filter((each) => each.long !== '--help')) lines.push(optionLine(option, within(command, false)));
  }
  return lines.join('\n');
}

/** A fish condition: the words of `command` were typed and, if `last`, none of its subcommands yet. */
function within(command: CompletedCommand, last: boolean): string {
  const seen = command.path.map((word) => `__fish_seen_subcommand_from ${word}`);
  const next = command.subcommands.map((each) => each.path.at(-1)).join(' ');
  return [...seen, ...(last ? [`not __fish_seen_subcommand_from ${next}`] : [])].join('; and ');
}

function optionLine({ short, long, description, value, choices }: CompletedOption, condition: string | null): string {
  const letter = short === null ? '' : ` -s ${short.slice(1)}`;
  const argument = !value ? '' : choices.length > 0 ? ` -x -a ${quote(choices.join(' '))}` : ' -r';
  return `complete -c hsm${condition === null ? '' : ` -n ${quote(condition)}`}${letter} -l ${long.slice(2)}${argument} -d ${quote(description)}`;
}

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
