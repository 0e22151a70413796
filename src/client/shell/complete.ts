/** What Tab offers: commands, options, and what each argument's spec says that it completes. */
import { readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import type { CliArgument, CliOption } from '../../protocol/command.js';
import { findCommand, wordsOfCommands } from '../catalog.js';
import type { TypedCommand } from '../catalog.js';
import { SHELLS } from '../completion/scripts.js';
import { SETTINGS } from '../settings.js';
import { COLOR_MODES } from '../settingvalues.js';
import { OWN_COMMANDS } from '../usage.js';
import { closingQuote, tokenize } from './line.js';
import type { Token } from './line.js';

/** Offers at most: what fits a screen. */
const MAX_OFFERS = 200;

/** Where names come from. */
export interface NameSource {
  users(): Promise<readonly string[]>;
  groups(): Promise<readonly string[]>;
  files(prefix: string): Promise<readonly string[]>;
  /** How many chunks a registered file has. */
  chunkCount(file: string): Promise<number>;
}

/** What can stand in a line besides commands and their own options. */
export interface Surroundings {
  readonly words: readonly string[];
  readonly options: readonly string[];
}

/** The shell's own words. */
export const SHELL_WORDS = ['help', 'exit', 'quit'] as const;
const IN_SHELL: Surroundings = { words: SHELL_WORDS, options: ['--json', '--help'] };
export const ON_COMMAND_LINE: Surroundings = {
  words: OWN_COMMANDS,
  options: [...Object.values(SETTINGS).flatMap(optionNames), '--help', '--version'],
};

type Completes = CliArgument['completes'];

/**
 * `words` as they are; `names` may hold what a shell has to quote; `list` goes on behind a comma; `path` is for who asks to find, and
 * has no words.
 */
export interface Offers {
  readonly kind: 'words' | 'names' | 'list' | 'path';
  readonly words: readonly string[];
}

/**
 * What may stand in place of the word being typed.
 * @param before the words in front of it
 */
export async function offersFor(
  before: readonly string[],
  typed: string,
  names: NameSource,
  around: Surroundings,
): Promise<Offers> {
  const wanted = whatIsWanted(before, typed, around);
  return offers(wanted, typed, before, names);
}

/**
 * @param line up to the cursor
 * @returns what may stand there, and the piece of the line that it replaces, as readline wants it
 */
export async function complete(line: string, names: NameSource, cwd: string): Promise<[string[], string]> {
  const tokens = tokenize(line);
  const open = openWord(line, tokens);
  const typed = open?.text ?? '';
  const raw = open === undefined ? '' : line.slice(open.start);
  const before = tokens.filter(({ end }) => end <= line.length - raw.length).map(({ text }) => text);
  const { kind, words } = await offersFor(before, typed, names, IN_SHELL).catch(() => NOTHING);
  const ended =
    kind === 'path'
      ? await paths(typed, cwd).catch(() => [])
      : words.map((word) => word + (kind === 'list' ? '' : ' '));
  return [ended.slice(0, MAX_OFFERS).map((offer) => quoteLike(raw, offer)), raw];
}

const NOTHING: Offers = { kind: 'words', words: [] };

/** The word that the line ends in; one whose quote is still open goes on over spaces. */
function openWord(line: string, tokens: readonly Token[]): { start: number; text: string } | undefined {
  const quoted = tokens.find(({ start }) => /["']/.test(line[start] ?? '') && closingQuote(line, start) < 0);
  if (quoted !== undefined) return { start: quoted.start, text: line.slice(quoted.start + 1) };
  const last = tokens.at(-1);
  return last?.end === line.length ? last : undefined;
}

type Wanted =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'name'; readonly completes: Completes; readonly many: boolean };

const WANTS_NOTHING: Wanted = { kind: 'words', words: [] };

function whatIsWanted(before: readonly string[], typed: string, around: Surroundings): Wanted {
  const [command] = before;
  const everywhere = valueOfSetting(before.at(-1));
  if (everywhere !== undefined && around === ON_COMMAND_LINE) return everywhere;
  if (command === undefined) {
    const words = typed.startsWith('-') ? around.options : [...wordsOfCommands, ...around.words];
    return { kind: 'words', words };
  }
  if (command === 'completion' && around === ON_COMMAND_LINE) return { kind: 'words', words: SHELLS };
  if (command.toLowerCase() === 'help') return { kind: 'words', words: [...wordsOfCommands, ...around.words] };
  const spec = findCommand(command);
  if (spec === undefined) return WANTS_NOTHING;
  const options = spec.cli.options ?? [];
  if (typed.startsWith('-')) return { kind: 'words', words: [...options.flatMap(optionNames), ...around.options] };
  const words = ordinaryWords(spec, before.slice(1));
  const last = words.at(-1) ?? '';
  const valued = options.find((option) => option.kind !== 'flag' && optionNames(option).includes(last));
  if (valued !== undefined) return { kind: 'name', completes: valued.completes, many: valued.kind === 'names' };
  const argument = argumentAt(spec, words);
  return argument === undefined ? WANTS_NOTHING : { kind: 'name', completes: argument.completes, many: false };
}

/** The words as they would be with an option, when what is being typed makes them its other spelling. */
function ordinaryWords(spec: TypedCommand, words: readonly string[]): readonly string[] {
  const some = 'a,b';
  const rewritten = spec.cli.rewrite?.([...words, some]) ?? [...words, some];
  return rewritten.at(-1) === some ? rewritten.slice(0, -1) : words;
}

/** What stands behind an option that every command has. */
function valueOfSetting(word: string | undefined): Wanted | undefined {
  const setting = Object.values(SETTINGS).find((each) => optionNames(each).includes(word ?? ''));
  const value = /<(.+)>/.exec(setting?.flags ?? '')?.[1];
  if (value === undefined) return undefined;
  if (value === 'when') return { kind: 'words', words: COLOR_MODES };
  return { kind: 'name', completes: value === 'dir' || value === 'file' ? 'path' : undefined, many: false };
}

function optionNames({ flags }: Pick<CliOption, 'flags'>): string[] {
  return flags.split(/[ ,]+/).filter((part) => part.startsWith('-'));
}

/** The argument that the next word is for. */
function argumentAt(spec: TypedCommand, words: readonly string[]): CliArgument | undefined {
  const valued = new Set((spec.cli.options ?? []).filter(({ kind }) => kind !== 'flag').flatMap(optionNames));
  const positional = words.filter((word, i) => !word.startsWith('-') && !valued.has(words[i - 1] ?? '')).length;
  const list = spec.cli.arguments;
  const last = list.at(-1);
  return list[positional] ?? (last?.kind === 'integers' ? last : undefined);
}

async function offers(wanted: Wanted, typed: string, before: readonly string[], names: NameSource): Promise<Offers> {
  if (wanted.kind === 'words') return { kind: 'words', words: beginningWith(wanted.words, typed) };
  switch (wanted.completes) {
    case 'user': {
      const done = wanted.many ? typed.slice(0, typed.lastIndexOf(',') + 1) : '';
      const given = new Set(done.toLowerCase().split(','));
      const found = beginningWith(await names.users(), typed.slice(done.length));
      const fresh = found.filter((user) => !given.has(user.toLowerCase()));
      return { kind: wanted.many ? 'list' : 'words', words: fresh.map((user) => done + user) };
    }
    case 'group':
      return { kind: 'words', words: beginningWith(await names.groups(), typed) };
    case 'file':
      return { kind: 'names', words: beginningWith(await names.files(typed), typed) };
    case 'chunk': {
      const count = await names.chunkCount(before[1] ?? '');
      const given = new Set(before.slice(2));
      const numbers = Array.from({ length: count }, (_, i) => String(i)).filter((n) => !given.has(n));
      return { kind: 'words', words: beginningWith(numbers, typed) };
    }
    case 'path':
      return { kind: 'path', words: [] };
    case undefined:
      return NOTHING;
  }
}

const beginningWith = (words: readonly string[], typed: string): string[] =>
  words.filter((word) => word.toLowerCase().startsWith(typed.toLowerCase()));

/** Hidden ones only when a dot was typed. */
async function paths(typed: string, cwd: string): Promise<string[]> {
  const home = typed.replace(/^~(?=[/\\])/, homedir());
  const isFolder = home === '' || /[/\\]$/.test(home);
  const folder = resolve(cwd, isFolder ? home : dirname(home));
  const begin = isFolder ? '' : basename(home);
  const kept = typed.slice(0, typed.length - begin.length);
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter(({ name }) => name.startsWith(begin) && (begin.startsWith('.') || !name.startsWith('.')))
    .map((entry) => kept + entry.name + (entry.isDirectory() ? '/' : ' '))
    .sort();
}

/** Written so that the line means it: in the quotes that were begun, else with spaces escaped. A space at the end ends the word. */
function quoteLike(raw: string, offer: string): string {
  const ends = offer.endsWith(' ');
  const word = ends ? offer.slice(0, -1) : offer;
  const quote = raw[0];
  if (quote === '"') return `"${word.replace(/["\\]/g, '\\$&')}${ends ? '" ' : ''}`;
  if (quote === "'" && !word.includes("'")) return `'${word}${ends ? "' " : ''}`;
  return word.replace(/[\s"'\\]/g, '\\$&') + (ends ? ' ' : '');
}
