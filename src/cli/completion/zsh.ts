/** Completion for zsh. */
import { type CompletedCommand, type CompletedOption, flatten } from './tree.ts';

export function zshCompletion(program: CompletedCommand): string {
  const functions = flatten(program).map((each) => functionFor(each, program.options));
  return `#compdef hsm
# zsh completion for hsm: hsm completion zsh > "\${fpath[1]}/_hsm"
${functions.join('\n')}
if [ "$funcstack[1]" = "_hsm" ]; then _hsm "$@"; else compdef _hsm hsm; fi`;
}

function functionFor(command: CompletedCommand, globals: readonly CompletedOption[]): string {
  const options = [...command.options, ...globals.filter((each) => !command.options.some((own) => own.long === each.long))].map(optionSpec);
  const name = ['_hsm', ...command.path].join('_').replaceAll('-', '_');
  if (command.subcommands.length === 0) {
    const rest = command.words.length > 0 ? `':word:(${command.words.join(' ')})'` : `'*:file:_files'`;
    return `${name}() {\n  _arguments -s ${[...options, rest].join(' \\\n    ')}\n}`;
  }
  const list = command.subcommands.map((each) => quote(`${each.path.at(-1)}:${each.description}`)).join(' ');
  const cases = command.subcommands.map((each) => `    ${each.path.at(-1)}) ${['_hsm', ...each.path].join('_').replaceAll('-', '_')} ;;`);
  return `${name}() {
  local line state
  _arguments -C ${[...options, `'1: :->command'`, `'*:: :->rest'`].join(' \\\n    ')}
  case $state in
    command) local -a list=(${list}); _describe command list ;;
    rest) case $line[1] in
${cases.join('\n')}
    esac ;;
  esac
}`;
}

function optionSpec({ long, description, value, choices }: CompletedOption): string {
  const text = description.replace(/[[\]:]/g, (character) => `\\${character}`);
  const argument = !value ? '' : choices.length > 0 ? `:value:(${choices.join(' ')})` : ':value:_files';
  return quote(`${long}[${text}]${argument}`);
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
