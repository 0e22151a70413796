/** JSON as it is printed: one line, and nothing in it that a terminal could obey (R13). */

// What JSON.stringify leaves as it is: DEL and C1, format characters (bidi, zero-width), line and paragraph separators.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The same value to every parser: what is escaped stands inside strings only. */
export function jsonLine(value: object): string {
  return JSON.stringify(value).replace(UNPRINTABLE, (c) =>
    Array.from({ length: c.length }, (_, i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  );
}
