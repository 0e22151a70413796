/** The rows at the bottom of a terminal that change: bars and the line being typed, drawn anew below whatever is printed above them. */
import { charWidth, clip, displayWidth } from './width.js';

export interface View {
  /** A row each; what is wider than the terminal is cut. */
  readonly bars: readonly string[];
  readonly prompt: string;
  /** The prompt with its colours, which take no room. */
  readonly styledPrompt?: string;
  readonly line: string;
  /** Characters of the line in front of the cursor. */
  readonly cursor: number;
}

export const EMPTY_VIEW: View = { bars: [], prompt: '', line: '', cursor: 0 };

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

interface Place {
  readonly row: number;
  readonly column: number;
}

interface Layout {
  readonly view: View;
  readonly columns: number;
  readonly bars: readonly string[];
  /** Rows of prompt and line; the terminal itself goes from one to the next. */
  readonly input: readonly string[];
  /** Where the cursor belongs within them. */
  readonly cursor: Place;
}

// What is typed or pasted may hold anything; one column each, so that the line stays what it takes.
const UNSEEN = /^(?!\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]$/u;
const seen = (c: string): string => (c === '\t' ? ' ' : UNSEEN.test(c) ? '?' : c);

/** What of a line would disturb the terminal is shown as a space or a question mark. */
export const seenText = (line: string): string => Array.from(line, seen).join('');

const up = (rows: number): string => (rows > 0 ? `\u001b[${rows}A` : '');
const ERASE_BELOW = '\r\u001b[J';

/** Knows what stands at the bottom of the terminal, and so what has to be written to change it. Writes nothing itself. */
export class LiveArea {
  #shown: Layout | undefined;

  /**
   * What to write so that `above` stands above, and this view below it, with the cursor in its place.
   * @param above whole lines, each with its line feed
   */
  draw(view: View, size: Size, above = ''): string {
    const next = layOut(view, size);
    const shown = this.#shown;
    if (above === '' && shown !== undefined) {
      const more = appended(shown, next);
      if (more !== undefined) {
        this.#shown = next;
        return more;
      }
    }
    const text = this.#toTop(size.columns) + above + written(next);
    this.#shown = next;
    return text;
  }

  /** What was drawn is not there any more: the next drawing begins where the cursor is, on a row of its own. */
  forget(): void {
    this.#shown = undefined;
  }

  /** To the first row of what is shown, with all of it erased. A terminal that was made narrower has wrapped it. */
  #toTop(columns: number): string {
    if (this.#shown === undefined) return '';
    const { view, bars, columns: drawnFor, cursor, input } = this.#shown;
    if (columns === drawnFor) return up(bars.length + cursor.row) + ERASE_BELOW;
    const wrapped = bars.reduce((rows, bar) => rows + Math.max(1, Math.ceil(displayWidth(bar) / columns)), 0);
    const { cursor: now } = inputRows({ ...view, prompt: input.length === 0 ? '' : view.prompt }, columns);
    return up(wrapped + now.row) + ERASE_BELOW;
  }
}

/** What was typed at the end of the line, when that is all that changed; undefined when more has. */
function appended(shown: Layout, next: Layout): string | undefined {
  const old = shown.view;
  const { view } = next;
  const same = old.prompt === view.prompt && old.styledPrompt === view.styledPrompt && shown.columns === next.columns;
  if (!same || !sameRows(shown.bars, next.bars) || shown.input.length !== next.input.length) return undefined;
  if (old.line === view.line && old.cursor === view.cursor) return '';
  const atEnd = old.cursor === old.line.length && view.cursor === view.line.length;
  return atEnd && view.line.startsWith(old.line) ? seenText(view.line.slice(old.line.length)) : undefined;
}

const sameRows = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((row, i) => row === other[i]);

/** Of a line that has more rows than the terminal those around the cursor; bars where there is room above it. */
function layOut(view: View, { columns, rows }: Size): Layout {
  const { rows: all, cursor } = inputRows(view, columns);
  const from = Math.max(0, Math.min(cursor.row - rows + 1, all.length - rows), cursor.row + 1 - rows);
  const input = all.slice(from, from + rows);
  const room = Math.max(0, rows - input.length - 1);
  const bars = view.bars.slice(0, room).map((bar) => clip(bar, columns - 1));
  return { view, columns, bars, input, cursor: { row: cursor.row - from, column: cursor.column } };
}

function inputRows(view: View, columns: number): { rows: string[]; cursor: Place } {
  const rows = [''];
  let column = 0;
  const put = (c: string): void => {
    const width = charWidth(c);
    if (column + width > columns) {
      rows.push('');
      column = 0;
    }
    rows[rows.length - 1] = `${rows.at(-1) ?? ''}${c}`;
    column += width;
  };
  const here = (width: number): Place =>
    column + width > columns ? { row: rows.length, column: 0 } : { row: rows.length - 1, column };
  for (const c of view.prompt) put(seen(c));
  let cursor: Place | undefined;
  let offset = 0;
  for (const c of view.line) {
    if (cursor === undefined && offset >= view.cursor) cursor = here(charWidth(c));
    put(seen(c));
    offset += c.length;
  }
  cursor ??= here(1);
  if (cursor.row >= rows.length) rows.push('');
  const [first = ''] = rows;
  const { prompt, styledPrompt } = view;
  if (styledPrompt !== undefined && first.startsWith(prompt)) rows[0] = styledPrompt + first.slice(prompt.length);
  return { rows, cursor };
}

function written({ bars, input, cursor, view, columns }: Layout): string {
  // A row that is full lets the terminal wait at its end: a space takes it to the next one.
  const toNext = input.length > 1 && input.at(-1) === '' ? ' ' : '';
  const text = bars.map((bar) => `${bar}\r\n`).join('') + input.join('') + toNext;
  const last = input.length - 1;
  const atEnd = cursor.row === last && view.cursor >= view.line.length && toNext === '' && cursor.column < columns;
  if (atEnd) return text;
  return `${text}${up(last - cursor.row)}\r${cursor.column > 0 ? `\u001b[${cursor.column}C` : ''}`;
}
