/** The words of a command line become the parameters of a command, by the kinds its spec gives them. */
import { resolve, sep } from 'node:path';
import type { CliArgument, CliOption } from '../protocol/command.js';
import { ParleyError } from '../protocol/errors.js';
import { MAX_CONTROL_BYTES } from '../protocol/limits.js';
import { parseMessageText } from '../protocol/values.js';
import { usageOf } from './catalog.js';
import type { TypedCommand } from './catalog.js';
import { parseRate } from './units.js';

/** Room that a call leaves in its frame for the command's name and brackets. */
const PARAMS_BYTES = MAX_CONTROL_BYTES - 256;

export type Params = Readonly<Record<string, unknown>>;

/** What commander found: a word or a list of words for each argument, a word or `true` for each option given. */
export interface TypedWords {
  readonly arguments: readonly (string | readonly string[] | undefined)[];
  /** By parameter. */
  readonly options: ReadonlyMap<string, string | true>;
}

export const usageError = (spec: TypedCommand, reason: string): ParleyError =>
  new ParleyError('USAGE', { reason: `${reason}; usage: client ${usageOf(spec)}` });

/**
 * @param cwd the folder that relative paths start from
 * @throws ParleyError USAGE; EMPTY_MESSAGE or MESSAGE_TOO_LONG; UNKNOWN_USER or FILE_NOT_REGISTERED for a name that no user or file can have
 */
export function toParams(spec: TypedCommand, words: TypedWords, cwd: string): Params {
  const params: Record<string, unknown> = {};
  spec.cli.arguments.forEach((argument, i) => {
    const value = argumentValue(spec, argument, words.arguments[i], cwd);
    if (value !== undefined) params[argument.param] = value;
  });
  for (const option of spec.cli.options ?? []) {
    const typed = words.options.get(option.param);
    if (typed !== undefined) params[option.param] = optionValue(spec, option, typed, cwd);
  }
  return params;
}

/** Checks what the other end would refuse as malformed, so that it is said in the words of the command line. */
export function checkParams(spec: TypedCommand, params: Params): void {
  for (const { kind, param } of spec.cli.arguments) {
    const text = params[param];
    if (kind === 'text') parseMessageText(typeof text === 'string' ? text : '');
  }
  const parsed = spec.params.safeParse(params);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw badParam(spec, params, String(issue?.path[0] ?? ''), issue?.message ?? 'it cannot be used');
  }
  if (Buffer.byteLength(JSON.stringify(params)) > PARAMS_BYTES)
    throw usageError(spec, 'that is too much for one command; give less at a time');
}

function badParam(spec: TypedCommand, params: Params, param: string, message: string): ParleyError {
  const option = spec.cli.options?.find((known) => known.param === param);
  const argument = spec.cli.arguments.find((known) => known.param === param);
  const value = params[param];
  if (option?.kind === 'flag' && value === undefined) {
    const flag = option.flags.split(/[ ,]+/).findLast((word) => word.startsWith('--')) ?? option.flags;
    return usageError(spec, `add ${flag} (${option.says})`);
  }
  const completes = (argument ?? option)?.completes;
  if (typeof value === 'string' && completes === 'user')
    return new ParleyError('UNKNOWN_USER', { user: shorten(value) });
  if (typeof value === 'string' && completes === 'file')
    return new ParleyError('FILE_NOT_REGISTERED', { file: shorten(value) });
  const name = argument?.label ?? argument?.param ?? option?.flags ?? param;
  return usageError(spec, `${name}: ${message.replace(/^./, (c) => c.toLowerCase())}`);
}

const shorten = (name: string): string => (name.length > 64 ? `${name.slice(0, 64)}…` : name);

function argumentValue(
  spec: TypedCommand,
  argument: CliArgument,
  typed: string | readonly string[] | undefined,
  cwd: string,
): unknown {
  const name = argument.label ?? argument.param;
  const list = typeof typed === 'object' ? typed : typed === undefined ? [] : [typed];
  const [first] = list;
  switch (argument.kind) {
    case 'text':
      return list.join(' ');
    case 'integers':
      return first === undefined ? undefined : list.map((word) => wholeNumber(spec, name, word));
    case 'integer':
      return first === undefined ? undefined : wholeNumber(spec, name, first);
    case 'path':
      return first === undefined ? undefined : absolutePath(spec, name, first, cwd);
    case 'word':
      return first === undefined ? undefined : nonEmpty(spec, name, first);
  }
}

function optionValue(spec: TypedCommand, option: CliOption, typed: string | true, cwd: string): unknown {
  if (option.kind === 'flag' || typed === true) return true;
  switch (option.kind) {
    case 'word':
      return nonEmpty(spec, option.flags, typed);
    case 'integer':
      return wholeNumber(spec, option.flags, typed);
    case 'path':
      return absolutePath(spec, option.flags, typed, cwd);
    case 'names':
      return names(spec, option.flags, typed);
    case 'rate':
      return bytesPerSecond(spec, typed);
  }
}

function nonEmpty(spec: TypedCommand, name: string, word: string): string {
  if (word === '') throw usageError(spec, `${name} is empty`);
  return word;
}

/** A number too large to count with stands for the largest one: it is out of every range, and the answer says so. */
function wholeNumber(spec: TypedCommand, name: string, word: string): number {
  if (!/^\d+$/.test(word)) throw usageError(spec, `${name} must be a whole number, not '${word}'`);
  return Math.min(Number(word), Number.MAX_SAFE_INTEGER);
}

/** A separator at the end stays: it says that a folder is meant. */
function absolutePath(spec: TypedCommand, name: string, word: string, cwd: string): string {
  const path = resolve(cwd, nonEmpty(spec, name, word));
  return /[/\\]$/.test(word) && word.endsWith(sep) && !path.endsWith(sep) ? path + sep : path;
}

function names(spec: TypedCommand, name: string, word: string): readonly string[] {
  const list = word.split(',').map((one) => one.trim());
  if (list.includes('')) throw usageError(spec, `${name} takes names separated by commas, not '${word}'`);
  return list;
}

function bytesPerSecond(spec: TypedCommand, word: string): number {
  const rate = parseRate(word);
  if (rate !== undefined) return rate;
  throw usageError(spec, `the rate must be bytes a second like 500K or 2.5M, not '${word}'`);
}
