/** How much room text takes on a terminal, and how it is cut and wrapped to that room. */

const ZERO_WIDTH = /^(?:\p{Mn}|\p{Me}|\u200d)$/u;
const WIDE =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}])$/u;
/** Below it every character that can be seen takes one column. */
const FIRST_UNEVEN = 0x300;
/** A tab is shown as so many spaces, wherever it stands. */
const TAB_COLUMNS = 4;

/** Columns of one code point that can be seen: 0, 1 or 2. */
export function charWidth(c: string): number {
  if ((c.codePointAt(0) ?? 0) < FIRST_UNEVEN) return 1;
  return ZERO_WIDTH.test(c) ? 0 : WIDE.test(c) ? 2 : 1;
}

/** Columns that plain text takes on a terminal. */
export function displayWidth(text: string): number {
  let columns = 0;
  for (const c of text) columns += charWidth(c);
  return columns;
}

/** Text of at most so many columns; what was cut ends in `…`. */
export function clip(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  let cut = '';
  let width = 0;
  for (const c of text) {
    width += charWidth(c);
    if (width > columns - 1) break;
    cut += c;
  }
  return columns < 1 ? '' : `${cut}…`;
}

/**
 * Lines of at most `room` columns, the first of `firstRoom`: broken at spaces, and within a word that has no room on a line of its own.
 * The first line is empty when `firstRoom` is 0.
 */
export function wrapText(text: string, room: number, firstRoom = room): string[] {
  const lines: string[] = [];
  for (const paragraph of text.replaceAll('\t', ' '.repeat(TAB_COLUMNS)).split('\n')) {
    wrapParagraph(paragraph, room, lines.length === 0 ? firstRoom : room, lines);
  }
  return lines;
}

function wrapParagraph(text: string, room: number, firstRoom: number, lines: string[]): void {
  let line = '';
  let left = firstRoom;
  const next = (): void => {
    lines.push(line.trimEnd());
    line = '';
    left = room;
  };
  for (const token of text.match(/\s+|\S+/gu) ?? []) {
    const width = displayWidth(token);
    if (width > left && /^\s/u.test(token)) {
      next();
      continue; // The break stands for the spaces.
    }
    if (width > left && (line.trim() !== '' || left === 0) && width <= room) next();
    if (width <= left) {
      line += token;
      left -= width;
      continue;
    }
    for (const c of token) {
      if (charWidth(c) > left && (line !== '' || left < room)) next();
      line += c;
      left -= charWidth(c);
    }
  }
  next();
}
