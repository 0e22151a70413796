/** Words of our own about commands: what they are refused with, and what an unknown one may have meant. */
import { ERRORS, ParleyError } from '../protocol/errors.js';
import type { ErrorCode } from '../protocol/errors.js';
import { wordsOfCommands } from './catalog.js';
import { didYouMean, suggestionsFor } from './suggest.js';

/** Hidden: what the scripts of `client completion` call. */
export const COMPLETE = '__complete';
/** Commands of the command line that are no spec's. */
export const OWN_COMMANDS = ['agent', 'completion', 'help'] as const;

/** What a command is refused with, and what that says. */
export function refusalsText(codes: readonly ErrorCode[]): string {
  if (codes.length === 0) return '';
  const width = Math.max(...codes.map((code) => code.length));
  const lines = codes.map((code) => {
    const says = ERRORS[code].message.replace(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase());
    return `  ${code.padEnd(width)}  ${says}`;
  });
  return `\n\nRefused with:\n${lines.join('\n')}`;
}

/** With what may have been meant; `shellWords`: what the shell knows besides commands, when it was typed there. */
export function unknownCommand(word: string, shellWords: readonly string[] = []): ParleyError {
  const meant = didYouMean(suggestionsFor(word, [...new Set([...wordsOfCommands, ...OWN_COMMANDS, ...shellWords])]));
  const help = shellWords.length === 0 ? 'see client --help' : 'help lists those there are';
  const next = meant === '' ? `; ${help}` : meant;
  return new ParleyError('USAGE', { reason: `unknown command '${word}'${word === 'client' ? WITHOUT_CLIENT : next}` });
}

/** For a line that was copied from a command line or its output, where it stands with `client`. */
const WITHOUT_CLIENT = "; leave out 'client', the rest is the command";
