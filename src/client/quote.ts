/** Words as they can be typed again, at a POSIX shell and in ours. */

/** What means nothing else anywhere; a leading ~ would. */
const PLAIN = /^[\w@%+=:,./-][\w@%+=:,./~-]*$/;

/** In single quotes where that is needed. */
export function quoted(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
