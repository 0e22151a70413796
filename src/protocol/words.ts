/** What a word is when messages are searched: one rule for the server's index, its check of what the index found, and the agent. */

/** Characters of a word that count: longer ones are no words of any language, and an index should not grow by them. */
const MAX_WORD_LENGTH = 64;
/** Words of a search that count: a sentence. */
export const MAX_SEARCH_WORDS = 32;

/** Scripts that are written without spaces are found by their characters, and so are pictures. */
const SINGLE = String.raw`[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Extended_Pictographic}]`;
const WORD = new RegExp(String.raw`${SINGLE}|(?:(?!${SINGLE})[\p{L}\p{N}])+`, 'gu');
const SEARCHED = new RegExp(String.raw`(${WORD.source})(\*?)`, 'gu');
const MARKS = /\p{M}+/gu;
const NOT_ASCII = /[^\0-\x7f]/;

export interface SearchWord {
  /** Folded as those of `wordsOf`. */
  readonly word: string;
  /** Whether any ending will do. */
  readonly isPrefix: boolean;
}

/** The words of a text, each once: letters and digits without regard to case and accents, everything else parts them. */
export function wordsOf(text: string): Set<string> {
  const words = new Set<string>();
  for (const [word] of fold(text).matchAll(WORD)) words.add(cut(word));
  return words;
}

/** The words that somebody looks for, each once; empty when there is none in what they typed. */
export function parseSearch(typed: string): SearchWord[] {
  const found = new Map<string, SearchWord>();
  for (const [, word = '', star = ''] of fold(typed).matchAll(SEARCHED)) {
    found.set(`${word}${star}`, { word: cut(word), isPrefix: star !== '' });
  }
  return [...found.values()].slice(0, MAX_SEARCH_WORDS);
}

/** Whether all that is searched for is among these words. */
export function hasWords(words: ReadonlySet<string>, search: readonly SearchWord[]): boolean {
  return search.every(({ word, isPrefix }) => words.has(word) || (isPrefix && hasPrefix(words, word)));
}

function hasPrefix(words: ReadonlySet<string>, prefix: string): boolean {
  for (const word of words) if (word.startsWith(prefix)) return true;
  return false;
}

/** Upper case, because it is what ß and SS, and both small sigmas, have in common. */
function fold(text: string): string {
  if (!NOT_ASCII.test(text)) return text.toUpperCase();
  return text.normalize('NFKD').replace(MARKS, '').toUpperCase().normalize('NFKD').replace(MARKS, '');
}

function cut(word: string): string {
  return word.length <= MAX_WORD_LENGTH ? word : Array.from(word).slice(0, MAX_WORD_LENGTH).join('');
}
