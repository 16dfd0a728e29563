/** Completion for bash. */
import { type CompletedCommand, flatten } from './tree.ts';

export function bashCompletion(program: CompletedCommand): string {
  const all = flatten(program);
  const globals = flags(program);
  const steps = all.filter((each) => each.path.length > 0).map((each) => `'${parent(each)}>${each.path.at(-1)}'`);
  const words = all.map((each) => `    '${each.path.join(' ')}') words='${[...each.subcommands.map((sub) => sub.path.at(-1)), ...each.words].join(' ')}' flags='${[...new Set([...flags(each), ...globals])].join(' ')}' ;;`);
  const values = new Map(all.flatMap((each) => each.options.filter((option) => option.value).map((option) => [option.long, option.choices] as const)));
  const choices = [...values].filter(([, list]) => list.length > 0).map(([flag, list]) => `    ${flag}) COMPREPLY=($(compgen -W '${list.join(' ')}' -- "$cur")); return ;;`);
  const others = [...values].filter(([, list]) => list.length === 0).map(([flag]) => flag);
  return `# bash completion for hsm: hsm completion bash > /etc/bash_completion.d/hsm
_hsm() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path='' words='' flags='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path>\${COMP_WORDS[i]}" in
      ${steps.join('|')}) path="\${path:+$path }\${COMP_WORDS[i]}" ;;
    esac
  done
  case "$prev" in
${choices.join('\n')}
    ${others.join('|')}) return ;;
  esac
  case "$path" in
${words.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -o bashdefault -o default -F _hsm hsm`;
}

const parent = (command: CompletedCommand): string => command.path.slice(0, -1).join(' ');

const flags = (command: CompletedCommand): string[] => command.options.map((option) => option.long);
