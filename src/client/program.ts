/** A command line becomes what is to be done. Commander parses it, by a program made afresh from the specs. */
import { Argument, Command, CommanderError, Option } from 'commander';
import { ParleyError } from '../protocol/errors.js';
import { commandsByTopic, findCommand, usageOf, wordsOfCommands } from './catalog.js';
import type { TypedCommand } from './catalog.js';
import { SHELLS, completionScript } from './completion/scripts.js';
import { toParams, usageError } from './parameters.js';
import type { Params } from './parameters.js';
import { SETTINGS } from './settings.js';
import type { Flags } from './settings.js';
import { similarTo } from './suggest.js';
import { COMPLETE, refusalsText, unknownCommand } from './usage.js';
import { packageVersion } from './version.js';

export type Invocation =
  | { readonly kind: 'shell'; readonly flags: Flags }
  | { readonly kind: 'agent'; readonly flags: Flags; readonly background: boolean }
  | { readonly kind: 'command'; readonly flags: Flags; readonly spec: TypedCommand; readonly params: Params }
  /** What may stand in place of the last word is asked for, by a shell's completion. */
  | { readonly kind: 'complete'; readonly flags: Flags; readonly before: readonly string[]; readonly typed: string }
  /** Help, version or a script, to be printed. */
  | { readonly kind: 'text'; readonly text: string };

const optionName = (flags: string): RegExpMatchArray['groups'] =>
  /^(?:(?<short>-\w), )?(?<long>--[\w-]+)(?: (?<value><.+>))?$/.exec(flags)?.groups;

/** Every way to write a global option, and whether a value follows. */
const globalOptions = new Map<string, { takesValue: boolean }>();
for (const { flags } of Object.values(SETTINGS)) {
  const { short, long, value } = optionName(flags) ?? {};
  for (const name of [short, long])
    if (name !== undefined) globalOptions.set(name, { takesValue: value !== undefined });
}

interface SplitWords {
  readonly globals: readonly string[];
  readonly words: readonly string[];
}

/** Takes the global options out of a line, wherever they stand before a `--`. */
export function splitGlobals(line: readonly string[]): SplitWords {
  const globals: string[] = [];
  const words: string[] = [];
  for (let i = 0; i < line.length; i++) {
    const word = line[i] ?? '';
    if (word === '--') {
      words.push(...line.slice(i));
      break;
    }
    const option = globalOptions.get(word.replace(/=.*$/s, ''));
    if (option === undefined) {
      if (/^-[qv]{2,}$/.test(word)) globals.push(word);
      else words.push(word);
      continue;
    }
    globals.push(word);
    const value = line[i + 1];
    if (option.takesValue && !word.includes('=') && value !== undefined) {
      globals.push(value);
      i++;
    }
  }
  return { globals, words };
}

/** What a line is once aliases, case and other spellings are brought to the ordinary ones. */
function ordinary(words: readonly string[]): { words: readonly string[]; spec: TypedCommand | undefined } {
  const at = words.findIndex((word) => !word.startsWith('-'));
  const spec = at < 0 || words.slice(0, at).includes('--') ? undefined : findCommand(words[at] ?? '');
  if (spec === undefined) return { words, spec };
  const rest = words.slice(at + 1);
  return { words: [...words.slice(0, at), spec.name, ...(spec.cli.rewrite?.(rest) ?? rest)], spec };
}

const looksLikeHost = (word: string): boolean => /[.:]/.test(word) || word.toLowerCase() === 'localhost';

/** `client <server_ip> <server_port>`: a mistyped command with a number behind it is none. */
function serverOf(words: readonly string[]): string | undefined {
  const [host, port, ...rest] = words;
  if (host === undefined || port === undefined || rest.length > 0 || findCommand(host) !== undefined) return undefined;
  const isHost =
    looksLikeHost(host) ||
    (/^\w[\w-]*$/.test(host) && /^\d+$/.test(port) && similarTo(host, wordsOfCommands).length === 0);
  if (!isHost) return undefined;
  return `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
}

/**
 * @param line the words after `client`; in the shell those of a line
 * @param cwd the folder that relative paths start from
 * @param alsoKnown words that are no commands here but may have been meant
 * @throws ParleyError USAGE and what `toParams` throws
 */
export function parseCommandLine(line: readonly string[], cwd: string, alsoKnown: readonly string[] = []): Invocation {
  const { globals, words } = splitGlobals(line);
  const first = words[0]?.toLowerCase();
  const server = serverOf(words);
  if (server !== undefined) {
    const flags = parseFlags(globals);
    if (flags.server !== undefined)
      throw new ParleyError('USAGE', { reason: 'the server is given twice; name it once' });
    return { kind: 'shell', flags: { ...flags, server } };
  }
  if (words.length === 0) return { kind: 'shell', flags: parseFlags(globals) };
  if (line[0] === COMPLETE) return askedToComplete(line.slice(1));
  if (first === 'help') return { kind: 'text', text: helpText(words.slice(1)) };
  const ordinaryWords = ordinary(words);
  return new Parsing(cwd, alsoKnown).parse([...globals, ...ordinaryWords.words], ordinaryWords.spec);
}

/** An option whose value is the word being typed stays with the words in front of it. */
function askedToComplete(line: readonly string[]): Invocation {
  const { globals, words } = splitGlobals(line.slice(0, -1));
  const last = globals.at(-1) ?? '';
  const isOpen = globalOptions.get(last)?.takesValue === true && line.at(-2) === last;
  return {
    kind: 'complete',
    flags: parseFlags(isOpen ? globals.slice(0, -1) : globals),
    before: isOpen ? [...words, last] : words,
    typed: line.at(-1) ?? '',
  };
}

/** @throws ParleyError USAGE when the command is unknown */
export function helpText(words: readonly string[]): string {
  const [name, ...more] = words.filter((word) => !word.startsWith('-'));
  if (more.length > 0) throw new ParleyError('USAGE', { reason: 'help takes one command; usage: help [command]' });
  const parsing = new Parsing('/');
  const spec = name === undefined ? undefined : findCommand(name);
  if (name !== undefined && spec === undefined && !parsing.has(name.toLowerCase())) throw unknownCommand(name);
  return parsing.help(spec?.name ?? name?.toLowerCase());
}

function parseFlags(globals: readonly string[]): Flags {
  const parsing = new Parsing('/');
  const invocation = parsing.parse([...globals, 'agent'], undefined);
  if (invocation.kind === 'agent') return invocation.flags;
  throw new ParleyError('INTERNAL', { reason: 'options were not parsed' });
}

/** One use of commander. */
class Parsing {
  readonly #program: Command;
  readonly #cwd: string;
  readonly #alsoKnown: readonly string[];
  #printed = '';
  #found: Invocation | undefined;

  constructor(cwd: string, alsoKnown: readonly string[] = []) {
    this.#cwd = cwd;
    this.#alsoKnown = alsoKnown;
    this.#program = new Command('client');
    this.#program
      .exitOverride()
      .configureOutput({ writeOut: (text) => (this.#printed += text), writeErr: () => undefined })
      .description(
        'Chat, private messages and shared files, from the terminal. Without a command: the interactive shell.',
      )
      .usage('[options] [<server_ip> <server_port> | <command> ...]')
      .version(packageVersion(), '--version', 'print the version')
      .helpCommand(false);
    for (const { flags, says } of Object.values(SETTINGS)) this.#program.addOption(new Option(flags, says));
    for (const [topic, specs] of commandsByTopic) {
      for (const spec of specs) this.#add(spec, topic);
    }
    this.#addAgent();
    this.#addCompletion();
    this.#program.addHelpText(
      'after',
      '\nMore about a command: client help COMMAND. Put -- before text that begins with a dash.',
    );
  }

  parse(words: readonly string[], spec: TypedCommand | undefined): Invocation {
    try {
      this.#program.parse(words, { from: 'user' });
    } catch (thrown) {
      if (!(thrown instanceof CommanderError)) throw thrown;
      if (thrown.exitCode === 0) return { kind: 'text', text: this.#printed };
      if (thrown.code === 'commander.unknownCommand') {
        throw unknownCommand(this.#program.args[0] ?? '', this.#alsoKnown);
      }
      throw wrongUsage(thrown, spec);
    }
    if (this.#found !== undefined) return this.#found;
    throw new ParleyError('USAGE', { reason: 'no command was given; see client --help' });
  }

  has(name: string): boolean {
    return this.#program.commands.some((known) => known.name() === name);
  }

  help(name: string | undefined): string {
    const command = name === undefined ? this.#program : this.#program.commands.find((known) => known.name() === name);
    (command ?? this.#program).outputHelp();
    return this.#printed;
  }

  #add(spec: TypedCommand, topic: string): void {
    const command = this.#program.command(spec.name).helpGroup(`${topic}:`).description(spec.says);
    command.usage(usageOf(spec).slice(spec.name.length + 1));
    for (const alias of spec.cli.aliases ?? []) command.alias(alias);
    for (const argument of spec.cli.arguments) {
      const name = argument.label ?? argument.param;
      // A message without text is refused as such, not as wrong usage.
      const optional = argument.optional === true || argument.kind === 'text';
      const many = argument.kind === 'integers' || argument.kind === 'text' ? '...' : '';
      command.argument(optional ? `[${name}${many}]` : `<${name}${many}>`);
    }
    const options = (spec.cli.options ?? []).map(({ flags, says, param }) => {
      const option = new Option(flags, says);
      command.addOption(option);
      return { param, key: option.attributeName() };
    });
    const examples = spec.cli.examples.map(({ line, says }) => `  client ${line}\n      ${says}`);
    command.addHelpText('after', `\nExamples:\n${examples.join('\n')}${refusalsText(spec.errors)}`);
    command.action(() => {
      const values: Readonly<Record<string, unknown>> = command.opts();
      const given = new Map<string, string | true>();
      for (const { param, key } of options) {
        const value = values[key];
        if (typeof value === 'string' || value === true) given.set(param, value);
      }
      const typed = { arguments: command.processedArgs as (string | string[] | undefined)[], options: given };
      this.#found = { kind: 'command', flags: this.#program.opts(), spec, params: toParams(spec, typed, this.#cwd) };
    });
  }

  #addAgent(): void {
    const command = this.#program
      .command('agent')
      .helpGroup('Session:')
      .description('Runs the agent in the foreground, for a service manager; other commands start one by themselves.')
      .addOption(new Option('--background').hideHelp());
    command.action(() => {
      const background = command.opts()['background'] === true;
      this.#found = { kind: 'agent', flags: this.#program.opts(), background };
    });
  }

  #addCompletion(): void {
    const command = this.#program
      .command('completion')
      .helpGroup('More:')
      .description(
        'Prints a script that lets a shell complete commands, options, and names of users, groups and files.',
      )
      .addArgument(new Argument('<shell>').choices(SHELLS));
    const lines = [
      'eval "$(client completion bash)"',
      'eval "$(client completion zsh)"',
      'client completion fish | source',
    ];
    command.addHelpText(
      'after',
      `\nIn the start-up file of bash, zsh or fish:\n${lines.map((line) => `  ${line}`).join('\n')}`,
    );
    command.action((name: string) => {
      const shell = SHELLS.find((known) => known === name);
      if (shell !== undefined) this.#found = { kind: 'text', text: completionScript(shell) };
    });
  }
}

/** Commander's words, as the sentence of a USAGE error. */
function wrongUsage(error: CommanderError, spec: TypedCommand | undefined): ParleyError {
  const said = error.message
    .replace(/^error: /, '')
    .replace(/\n\(D(.*)\)$/s, '; d$1')
    .replace(/\.$/, '');
  if (spec === undefined)
    return new ParleyError('USAGE', { reason: said.endsWith('?') ? said : `${said}; see client --help` });
  const takesText = spec.cli.arguments.some(({ kind }) => kind === 'text');
  const dash =
    error.code === 'commander.unknownOption' && takesText ? '; put -- before text that begins with a dash' : '';
  return usageError(spec, said + dash);
}
