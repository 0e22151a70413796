/** Patterns with `*` (any characters, also none) and `?` (one character); everything else stands for itself. */

/** Takes time in proportion to both lengths multiplied at worst, unlike a regular expression made from a stranger's pattern. */
export function fitsPattern(name: string, pattern: string): boolean {
  const text = Array.from(name);
  const wanted = Array.from(pattern);
  let at = 0;
  let next = 0;
  /** Where to go on when it does not fit: behind the last `*`, which then takes one character more. */
  let star: { next: number; at: number } | undefined;
  while (at < text.length) {
    if (wanted[next] === '*') {
      star = { next: next + 1, at };
      next += 1;
    } else if (next < wanted.length && (wanted[next] === '?' || wanted[next] === text[at])) {
      at += 1;
      next += 1;
    } else if (star !== undefined) {
      star.at += 1;
      at = star.at;
      next = star.next;
    } else return false;
  }
  while (wanted[next] === '*') next += 1;
  return next === wanted.length;
}
