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

/** With what may have been meant, which may be more than commands. */
export function unknownCommand(word: string, more: readonly string[] = []): ParleyError {
  const meant = didYouMean(suggestionsFor(word, [...new Set([...wordsOfCommands, ...OWN_COMMANDS, ...more])]));
  return new ParleyError('USAGE', {
    reason: `unknown command '${word}'${meant === '' ? '; see client --help' : meant}`,
  });
}
