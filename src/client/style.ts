/** Colours by meaning, columns by width. */
import picocolors from 'picocolors';
import type { ColorMode } from './settings.js';

export interface Style {
  readonly color: boolean;
  readonly name: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
}

export function makeStyle(color: boolean): Style {
  const colors = picocolors.createColors(color);
  return {
    color,
    name: colors.cyan,
    good: colors.green,
    bad: colors.red,
    strong: colors.bold,
    faint: colors.dim,
  };
}

/** Whether a stream gets colours: --color before NO_COLOR before what the stream is. */
export function wantsColor(
  mode: ColorMode,
  isTerminal: boolean,
  environment: Readonly<Record<string, string | undefined>>,
): boolean {
  if (mode !== 'auto') return mode === 'always';
  if ((environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb') return false;
  return isTerminal;
}

const ZERO_WIDTH = /^(?:\p{Mn}|\p{Me}|\u200d)$/u;
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]$/u;

/** Columns that plain text takes on a terminal. */
export function displayWidth(text: string): number {
  let columns = 0;
  for (const c of text) columns += ZERO_WIDTH.test(c) ? 0 : WIDE.test(c) ? 2 : 1;
  return columns;
}

export interface Column {
  readonly title: string;
  readonly right?: boolean;
  /** Colours a cell once it is padded. */
  readonly style?: (text: string) => string;
}

/** Rows of plain text as aligned columns under their titles. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string {
  const widths = columns.map(({ title }, i) =>
    Math.max(displayWidth(title), ...rows.map((row) => displayWidth(row[i] ?? ''))),
  );
  const line = (cells: readonly string[], paint: (column: Column) => (text: string) => string): string =>
    columns
      .map((column, i) => {
        const cell = cells[i] ?? '';
        const room = ' '.repeat(Math.max(0, (widths[i] ?? 0) - displayWidth(cell)));
        const isLast = i === columns.length - 1;
        const painted = paint(column)(cell);
        return column.right === true ? room + painted : painted + (isLast ? '' : room);
      })
      .join('  ')
      .trimEnd();
  const plain = (text: string): string => text;
  return [
    line(
      columns.map(({ title }) => title),
      () => style.faint,
    ),
    ...rows.map((row) => line(row, (column) => column.style ?? plain)),
  ].join('\n');
}
