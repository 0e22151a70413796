/** What somebody may have meant by a word that is none of those known. */

/** Suggestions at most: more are a list, and help has that. */
const MAX_SUGGESTIONS = 3;
/** A beginning of fewer characters could be that of anything. */
const MIN_PREFIX = 3;

/** Changes to a word of so many characters that leave it recognizable. */
const tolerance = (length: number): number => (length < 3 ? 0 : Math.max(1, Math.floor(length / 3)));

/** Known words that this one is close to, the nearest first, as they are spelled; case does not count. */
export function similarTo(word: string, known: readonly string[]): string[] {
  const wanted = word.toLowerCase();
  const near = known
    .map((each) => ({ each, distance: editDistance(wanted, each.toLowerCase()) }))
    .filter(({ each, distance }) => distance <= tolerance(Math.max(wanted.length, each.length)))
    .sort((a, b) => a.distance - b.distance);
  const best = near.filter(({ distance }) => distance === near[0]?.distance);
  return [...new Set(best.map(({ each }) => each))].slice(0, MAX_SUGGESTIONS);
}

/** The same, and then what the word is the beginning of. */
export function suggestionsFor(word: string, known: readonly string[]): string[] {
  const similar = similarTo(word, known);
  const wanted = word.toLowerCase();
  const begun = wanted.length < MIN_PREFIX ? [] : known.filter((each) => each.toLowerCase().startsWith(wanted));
  return [...new Set([...similar, ...begun])].slice(0, MAX_SUGGESTIONS);
}

/** `; did you mean this?`, `; did you mean this or that?`; nothing without suggestions. */
export function didYouMean(suggestions: readonly string[]): string {
  if (suggestions.length === 0) return '';
  const last = suggestions.at(-1) ?? '';
  const others = suggestions.slice(0, -1).join(', ');
  return `; did you mean ${others === '' ? last : `${others} or ${last}`}?`;
}

/** Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment). */
export function editDistance(one: string, other: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, j) => j);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1];
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      if (swapped) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[other.length] ?? 0;
}
