/** Scripts for bash, zsh and fish, made from the specs: commands and options stand in them, names are asked of the client itself. */
import { typedCommands } from '../catalog.js';
import type { TypedCommand } from '../catalog.js';
import { SETTINGS } from '../settings.js';
import { COMPLETE, OWN_COMMANDS } from '../usage.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell]();
}

interface Option {
  readonly short: string | undefined;
  readonly long: string;
  readonly takesValue: boolean;
  readonly says: string;
}

function optionOf({ flags, says }: { readonly flags: string; readonly says: string }): Option {
  const {
    short,
    long = '',
    value,
  } = /^(?:-(?<short>\w), )?--(?<long>[\w-]+)(?: (?<value>.+))?$/.exec(flags)?.groups ?? {};
  return { short, long, takesValue: value !== undefined, says };
}

const HELP: Option = { short: undefined, long: 'help', takesValue: false, says: 'what it does, with examples' };
const globals = (): Option[] => [...Object.values(SETTINGS).map(optionOf), HELP];
const ownOptions = (spec: TypedCommand): Option[] => (spec.cli.options ?? []).map(optionOf);
const namesOf = (options: readonly Option[]): string[] =>
  options.flatMap(({ short, long }) => [...(short === undefined ? [] : [`-${short}`]), `--${long}`]);
const wordsOf = (spec: TypedCommand): string[] => [spec.name, ...(spec.cli.aliases ?? [])];

/** The first sentence, in single quotes of its own kind, so that every shell takes it as it is. */
const plain = (says: string): string => (says.split(/[.:;] /)[0] ?? says).replace(/\.$/, '').replaceAll("'", '’');

function bashScript(): string {
  const valued = namesOf(globals().filter(({ takesValue }) => takesValue)).join(' | ');
  const words = [...typedCommands.flatMap(wordsOf), ...OWN_COMMANDS].join(' ');
  const cases = typedCommands
    .filter((spec) => ownOptions(spec).length > 0)
    .map((spec) => `    ${wordsOf(spec).join(' | ').toLowerCase()}) own='${namesOf(ownOptions(spec)).join(' ')}' ;;`);
  return `# Completion of client for bash. In ~/.bashrc: eval "$(client completion bash)"
_parley_client() {
  local current="\${COMP_WORDS[COMP_CWORD]}" program="\${1/#\\~/$HOME}" command= kind= own= line i
  local IFS=$' \\t\\n'
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
      ${valued}) i=$((i + 1)) ;;
      -*) ;;
      *)
        command="$(printf %s "\${COMP_WORDS[i]}" | tr '[:upper:]' '[:lower:]')"
        break
        ;;
    esac
  done
  case "$command" in
${cases.join('\n')}
  esac
  if ((i <= COMP_CWORD)); then
    if [[ $current == -* ]]; then
      COMPREPLY=($(compgen -W "$own ${namesOf(globals()).join(' ')}" -- "$current"))
    elif [[ -z $command ]]; then
      COMPREPLY=($(compgen -W '${words}' -- "$current"))
    fi
  fi
  if ((\${#COMPREPLY[@]} > 0)); then return; fi
  while IFS= read -r line; do
    if [[ -z $kind ]]; then kind="$line"; else COMPREPLY+=("$line"); fi
  done < <("$program" ${COMPLETE} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null </dev/null)
  case "$kind" in
    list) compopt -o nospace 2>/dev/null ;;
    names) compopt -o filenames 2>/dev/null ;;
    path)
      if ! compopt -o default 2>/dev/null; then
        IFS=$'\\n'
        COMPREPLY=($(compgen -f -- "$current"))
      fi
      ;;
  esac
}
complete -F _parley_client client
`;
}

function zshScript(): string {
  const item = (word: string, says: string): string => `    '${word}:${plain(says).replaceAll(':', ' -')}'`;
  const commands = typedCommands.flatMap((spec) => wordsOf(spec).map((word) => item(word, spec.says)));
  const own = OWN_COMMANDS.map((word) => item(word, OWN_SAYS[word]));
  return `#compdef client
# Completion of client for zsh. In ~/.zshrc, behind compinit: eval "$(client completion zsh)"
_parley_client() {
  local -a commands answer
  commands=(
${[...commands, ...own].join('\n')}
  )
  if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then
    _describe -t commands command commands && return
  fi
  answer=("\${(@f)$("\${(Q)words[1]}" ${COMPLETE} "\${(@Q)words[2,CURRENT]}" 2>/dev/null </dev/null)}")
  local kind=$answer[1]
  answer=("\${(@)answer[2,-1]}")
  answer=("\${(@)answer:#}")
  case $kind in
    path) _files ;;
    list) compadd -M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}' -S '' -- "\${(@)answer}" ;;
    *) compadd -M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}' -- "\${(@)answer}" ;;
  esac
}
if [[ "\${funcstack[1]}" == _client ]]; then
  _parley_client "$@"
else
  compdef _parley_client client
fi
`;
}

const OWN_SAYS: Readonly<Record<(typeof OWN_COMMANDS)[number], string>> = {
  agent: 'Runs the agent in the foreground',
  completion: 'Prints a script for completion',
  help: 'Explains a command',
};

function fishScript(): string {
  const line = (condition: string, what: string, says: string): string =>
    `complete -c client -n '${condition}' ${what} -d '${plain(says)}'`;
  const option = (condition: string, { short, long, takesValue, says }: Option): string =>
    line(
      condition,
      `${short === undefined ? '' : `-s ${short} `}-l ${long}${takesValue ? ' -x -a "(__parley_client)"' : ''}`,
      says,
    );
  const commands = typedCommands.flatMap((spec) =>
    wordsOf(spec).map((word) => line('__fish_use_subcommand', `-f -a ${word}`, spec.says)),
  );
  const options = typedCommands.flatMap((spec) =>
    ownOptions(spec).map((each) => option(`__fish_seen_subcommand_from ${wordsOf(spec).join(' ')}`, each)),
  );
  return `# Completion of client for fish. In ~/.config/fish/config.fish: client completion fish | source
function __parley_client
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer ($words[1] ${COMPLETE} $words[2..-1] "$current" 2>/dev/null </dev/null)
    if test "$answer[1]" = path
        __fish_complete_path "$current"
    else
        string join -- \\n $answer[2..-1]
    end
end
complete -c client -f
${commands.join('\n')}
${OWN_COMMANDS.map((word) => line('__fish_use_subcommand', `-f -a ${word}`, OWN_SAYS[word])).join('\n')}
${globals()
  .map((each) => option('true', each))
  .join('\n')}
${options.join('\n')}
complete -c client -n 'not __fish_use_subcommand' -f -a '(__parley_client)'
`;
}
