/** What Tab offers: commands, options, and what each argument's spec says that it completes. */
import { readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import type { CliArgument, CliOption } from '../../protocol/command.js';
import { findCommand, typedCommands } from '../catalog.js';
import type { TypedCommand } from '../catalog.js';
import { closingQuote, tokenize } from './line.js';
import type { Token } from './line.js';

/** Offers at most: what fits a screen. */
const MAX_OFFERS = 200;

/** Where names come from. */
export interface NameSource {
  users(): Promise<readonly string[]>;
  files(prefix: string): Promise<readonly string[]>;
  /** How many chunks a registered file has. */
  chunkCount(file: string): Promise<number>;
}

/** The shell's own words. */
export const SHELL_WORDS = ['help', 'exit', 'quit'] as const;

type Completes = CliArgument['completes'];

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
  const wanted = whatIsWanted(before, typed);
  const found = await offers(wanted, typed, before, names, cwd).catch(() => []);
  return [found.slice(0, MAX_OFFERS).map((offer) => quoteLike(raw, offer)), raw];
}

/** The word that the line ends in; one whose quote is still open goes on over spaces. */
function openWord(line: string, tokens: readonly Token[]): { start: number; text: string } | undefined {
  const quoted = tokens.find(({ start }) => /["']/.test(line[start] ?? '') && closingQuote(line, start) < 0);
  if (quoted !== undefined) return { start: quoted.start, text: line.slice(quoted.start + 1) };
  const last = tokens.at(-1);
  return last?.end === line.length ? last : undefined;
}

type Wanted =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'name'; readonly completes: Completes; readonly many: boolean }
  | { readonly kind: 'nothing' };

function whatIsWanted(before: readonly string[], typed: string): Wanted {
  const [command] = before;
  const commands = typedCommands.flatMap(({ name, cli }) => [name, ...(cli.aliases ?? [])]);
  if (command === undefined) return { kind: 'words', words: [...commands, ...SHELL_WORDS] };
  if (command.toLowerCase() === 'help') return { kind: 'words', words: commands };
  const spec = findCommand(command);
  if (spec === undefined) return { kind: 'nothing' };
  const options = spec.cli.options ?? [];
  if (typed.startsWith('-')) return { kind: 'words', words: [...options.flatMap(optionNames), '--json', '--help'] };
  const valued = options.find((option) => option.kind !== 'flag' && optionNames(option).includes(before.at(-1) ?? ''));
  if (valued !== undefined) return { kind: 'name', completes: valued.completes, many: valued.kind === 'names' };
  const argument = argumentAt(spec, before.slice(1));
  return argument === undefined ? { kind: 'nothing' } : { kind: 'name', completes: argument.completes, many: false };
}

const optionNames = ({ flags }: CliOption): string[] => flags.split(/[ ,]+/).filter((part) => part.startsWith('-'));

/** The argument that the next word is for. */
function argumentAt(spec: TypedCommand, words: readonly string[]): CliArgument | undefined {
  const valued = new Set((spec.cli.options ?? []).filter(({ kind }) => kind !== 'flag').flatMap(optionNames));
  const positional = words.filter((word, i) => !word.startsWith('-') && !valued.has(words[i - 1] ?? '')).length;
  const list = spec.cli.arguments;
  const last = list.at(-1);
  return list[positional] ?? (last?.kind === 'integers' ? last : undefined);
}

async function offers(
  wanted: Wanted,
  typed: string,
  before: readonly string[],
  names: NameSource,
  cwd: string,
): Promise<string[]> {
  if (wanted.kind === 'nothing') return [];
  if (wanted.kind === 'words') return beginningWith(wanted.words, typed).map((word) => `${word} `);
  switch (wanted.completes) {
    case 'user': {
      const done = wanted.many ? typed.slice(0, typed.lastIndexOf(',') + 1) : '';
      const found = beginningWith(await names.users(), typed.slice(done.length));
      return found.map((user) => done + user + (wanted.many ? '' : ' '));
    }
    case 'file':
      return beginningWith(await names.files(typed), typed).map((file) => `${file} `);
    case 'chunk': {
      const count = await names.chunkCount(before[1] ?? '');
      const given = new Set(before.slice(2));
      const numbers = Array.from({ length: count }, (_, i) => String(i)).filter((n) => !given.has(n));
      return beginningWith(numbers, typed).map((n) => `${n} `);
    }
    case 'path':
      return paths(typed, cwd);
    case 'group':
    case undefined:
      return [];
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
