/** Colours by meaning, columns by width. */
import picocolors from 'picocolors';
import type { StoredMessage } from '../protocol/commands/server/history.js';
import type { ColorMode } from './settingvalues.js';
import { displayWidth } from './width.js';

export interface Style {
  readonly color: boolean;
  readonly name: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  /** Who speaks, by what is said to whom. */
  readonly kinds: Readonly<Record<StoredMessage['kind'] | 'notice', (text: string) => string>>;
  /** Columns of the terminal; undefined when there is none, and lines are as long as they are. */
  readonly columns: number | undefined;
}

export function makeStyle(color: boolean, columns?: number): Style {
  const colors = picocolors.createColors(color);
  return {
    color,
    columns,
    name: colors.cyan,
    good: colors.green,
    bad: colors.red,
    strong: colors.bold,
    faint: colors.dim,
    kinds: {
      message: colors.cyan,
      broadcast: colors.yellow,
      group: colors.green,
      private: colors.magenta,
      notice: colors.dim,
    },
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

export interface Column {
  readonly title: string;
  readonly right?: boolean;
  /** Colours a cell once it is padded. */
  readonly style?: (text: string) => string;
}

/** Rows of plain text as aligned columns under their titles; one below the other where the terminal has no room for that. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string {
  const widths = columns.map(({ title }, i) =>
    rows.reduce((width, row) => Math.max(width, displayWidth(row[i] ?? '')), displayWidth(title)),
  );
  const whole = widths.reduce((sum, width) => sum + width + 2, -2);
  if (style.columns !== undefined && whole > style.columns) return records(columns, rows, style);
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

/** Each row as its first cell, and `title: cell` for the others below it. */
function records(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string {
  return rows
    .flatMap((row) =>
      columns.map(({ title, style: paint = (text: string): string => text }, i) => {
        const cell = paint(row[i] ?? '');
        return i === 0 ? cell : `  ${style.faint(`${title}:`)} ${cell}`;
      }),
    )
    .join('\n');
}
