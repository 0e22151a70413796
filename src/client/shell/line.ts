/** A line of the shell becomes words as they would stand behind `client`: quotes around spaces, and text as it was typed. */
import { homedir } from 'node:os';
import type { CliOption } from '../../protocol/command.js';
import { findCommand } from '../catalog.js';
import type { TypedCommand } from '../catalog.js';

export interface Token {
  /** Without its quotes and escapes. */
  readonly text: string;
  /** Where it begins in the line. */
  readonly start: number;
  /** Behind its last character. */
  readonly end: number;
}

const ESCAPABLE = /[\s"'\\]/;

/** Words between spaces; a quote that is never closed is a character like others. */
export function tokenize(line: string): Token[] {
  const tokens: Token[] = [];
  let i = 0;
  while (i < line.length) {
    while (/\s/.test(line[i] ?? '')) i++;
    if (i >= line.length) break;
    const start = i;
    let text = '';
    while (i < line.length && !/\s/.test(line[i] ?? '')) {
      const c = line[i] ?? '';
      const close = c === '"' || c === "'" ? closingQuote(line, i) : -1;
      if (close > 0) {
        const inside = line.slice(i + 1, close);
        text += c === '"' ? inside.replace(/\\(["\\])/g, '$1') : inside;
        i = close + 1;
      } else if (c === '\\' && ESCAPABLE.test(line[i + 1] ?? '')) {
        text += line[i + 1] ?? '';
        i += 2;
      } else {
        text += c;
        i++;
      }
    }
    tokens.push({ text, start, end: i });
  }
  return tokens;
}

/** Where the quote that opens at `open` closes; -1 when it never does. */
export function closingQuote(line: string, open: number): number {
  const quote = line[open];
  for (let i = open + 1; i < line.length; i++) {
    if (line[i] === '\\' && quote === '"') i++;
    else if (line[i] === quote) return i;
  }
  return -1;
}

/** The words of a line. For a command that takes text, the rest of the line is one word behind `--`, with its spaces and quotes. */
export function shellWords(line: string): string[] {
  const tokens = tokenize(line);
  const [first] = tokens;
  const spec = first === undefined ? undefined : findCommand(first.text);
  if (first === undefined || spec === undefined) return tokens.map(({ text }) => text);
  const textAt = spec.cli.arguments.findIndex(({ kind }) => kind === 'text');
  if (textAt < 0) return tokens.map(({ text }) => expandHome(text));
  return [first.text, ...textWords(line, tokens.slice(1), spec, textAt)];
}

function expandHome(word: string): string {
  return /^~(?=$|[/\\])/.test(word) ? homedir() + word.slice(1) : word;
}

function textWords(line: string, rest: readonly Token[], spec: TypedCommand, textAt: number): string[] {
  const flags = rest.findIndex(({ text }) => !/^(--(json|quiet|verbose)|-[qv]+)$/.test(text));
  const typed = rest.slice(Math.max(0, flags)).map(({ text }) => text);
  const words = spec.cli.rewrite?.(typed) ?? typed;
  const before = flags < 0 ? [] : rest.slice(0, flags).map(({ text }) => text);
  let positional = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (word === '--' && positional <= textAt) {
      const text = textFrom(line, rest, words, i + 1);
      return positional === textAt ? [...before, '--', text] : [...before, ...words.slice(i)];
    }
    const isOption = looksLikeOption(word) && positional === 0;
    if (positional === textAt && !isOption) return [...before, '--', textFrom(line, rest, words, i)];
    before.push(word);
    if (!isOption) positional++;
    else if (takesValue(spec.cli.options ?? [], word)) {
      i++;
      if (words[i] !== undefined) before.push(words[i] ?? '');
    }
  }
  return before;
}

/** Options stand before the first word; `-5 degrees` and `--> here` are text. */
const looksLikeOption = (word: string): boolean => /^--?[A-Za-z]/.test(word);

function takesValue(options: readonly CliOption[], word: string): boolean {
  return options.some(({ flags }) => {
    const names = flags.split(/[ ,]+/).filter((part) => part.startsWith('-'));
    return flags.includes('<') && names.includes(word);
  });
}

/** The line from the `i`-th word on: words at the end are those that were typed, whatever a rewriting did in front of them. */
function textFrom(line: string, typed: readonly Token[], words: readonly string[], i: number): string {
  const token = typed[typed.length - (words.length - i)];
  if (token !== undefined) return line.slice(token.start);
  return words.slice(i).join(' ');
}
