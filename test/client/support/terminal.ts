/** The real `client` on a terminal of its own, and what that terminal shows. */
import { setMaxListeners } from 'node:events';
import { spawn } from '@lydell/node-pty';
import type { IPty } from '@lydell/node-pty';
import { displayWidth } from '../../../src/client/width.js';
import { CLIENT, cleanEnvironment } from './client.js';

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}
const STANDARD_SIZE: TerminalSize = { columns: 80, rows: 30 };

/**
 * As much of a terminal as the shell uses: text that wraps and scrolls, line feeds, cursor movements within the screen, erasing. What has
 * scrolled out at the top cannot be reached any more, and a full row waits for the next character before the cursor leaves it.
 */
export class Display {
  readonly #size: TerminalSize;
  /** What has scrolled out, and the screen below it; of a wide character the second cell is empty. */
  readonly #rows: string[][] = [[]];
  #row = 0;
  #rest = '';
  #column = 0;

  constructor(size: TerminalSize = STANDARD_SIZE) {
    this.#size = size;
  }

  /** Lines without trailing spaces; empty ones at the end left out. */
  get lines(): string[] {
    const lines = this.#rows.map((row) => textOf(row).trimEnd());
    while (lines.length > 0 && lines.at(-1) === '') lines.pop();
    return lines;
  }

  get text(): string {
    return this.lines.join('\n');
  }

  /** Where the cursor is: the row among `lines`, and the column. */
  get cursor(): { row: number; column: number } {
    return { row: this.#row, column: this.#column };
  }

  write(written: string): void {
    // What is written comes in pieces, which may end within a sequence.
    const all = this.#rest + written;
    // eslint-disable-next-line no-control-regex -- as below
    this.#rest = /\u001b(?:\[[?\d;]*|\][^\u0007]*)?$/.exec(all)?.[0] ?? '';
    const data = all.slice(0, all.length - this.#rest.length);
    // eslint-disable-next-line no-control-regex -- a terminal is made of control characters
    const tokens = /\u001b\[([?\d;]*)([A-Za-z])|\u001b\][^\u0007]*\u0007|\u001b.|[\s\S]/gu;
    for (const [token, numbers, letter] of data.matchAll(tokens)) {
      if (letter !== undefined) this.#control(letter, numbers ?? '');
      else if (!token.startsWith('\u001b')) this.#put(token);
    }
  }

  get #top(): number {
    return Math.max(0, this.#rows.length - this.#size.rows);
  }

  #put(c: string): void {
    if (c === '\r') this.#column = 0;
    else if (c === '\n') this.#down(1, true);
    else if (c === '\b') this.#column = Math.max(0, this.#column - 1);
    else if (c >= ' ' && c !== '\u007f') {
      const width = displayWidth(c);
      const row = this.#rows[this.#row] ?? [];
      if (width === 0) {
        row[this.#column - 1] = `${row[this.#column - 1] ?? ''}${c}`;
        return;
      }
      if (this.#column + width > this.#size.columns) {
        this.#column = 0;
        this.#down(1, true);
        this.#put(c);
        return;
      }
      row[this.#column++] = c;
      if (width === 2) row[this.#column++] = '';
    }
  }

  #control(letter: string, numbers: string): void {
    const n = Math.max(1, Number(numbers) || 1);
    const row = this.#rows[this.#row] ?? [];
    const column = Math.min(this.#column, this.#size.columns - 1);
    if (letter === 'A') this.#row = Math.max(this.#top, this.#row - n);
    else if (letter === 'B') this.#down(n, false);
    else if (letter === 'C') this.#column = Math.min(this.#size.columns - 1, column + n);
    else if (letter === 'D') this.#column = Math.max(0, column - n);
    else if (letter === 'G') this.#column = n - 1;
    else if (letter === 'H') {
      this.#row = this.#top;
      this.#column = 0;
    } else if (letter === 'K') row.length = Math.min(row.length, column);
    else if (letter === 'J' && numbers === '2')
      this.#rows.splice(this.#top, this.#size.rows, ...this.#rows.slice(this.#top).map(() => []));
    else if (letter === 'J') {
      row.length = Math.min(row.length, column);
      // The rows stay on the screen, but nothing is on them.
      for (let i = this.#row + 1; i < this.#rows.length; i++) this.#rows[i] = [];
    } else if (letter !== 'm' && !numbers.startsWith('?'))
      throw new Error(`a terminal of the tests does not know CSI ${numbers}${letter}`);
  }

  #down(n: number, scrolls: boolean): void {
    const bottom = this.#top + this.#size.rows - 1;
    this.#row = scrolls ? this.#row + n : Math.min(bottom, this.#row + n);
    while (this.#rows.length <= this.#row) this.#rows.push([]);
  }
}

// Cells that were jumped over were never written.
const textOf = (row: readonly string[]): string => Array.from({ length: row.length }, (_, i) => row[i] ?? ' ').join('');

export class Terminal {
  readonly display: Display;
  /** Everything that was written, as it was. */
  raw = '';
  readonly ended: Promise<number>;
  readonly #pty: IPty;
  #changed: () => void = () => undefined;
  #isOver = false;

  constructor(
    home: string,
    words: readonly string[] = [],
    more: Readonly<Record<string, string>> = {},
    program = process.execPath,
    size = STANDARD_SIZE,
  ) {
    this.display = new Display(size);
    this.#pty = spawn(program, program === process.execPath ? [CLIENT, ...words] : [...words], {
      cols: size.columns,
      rows: size.rows,
      env: cleanEnvironment(home, { TERM: 'xterm', ...more }),
    });
    this.#pty.onData((data) => {
      this.raw += data;
      this.display.write(data);
      this.#changed();
    });
    this.ended = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode }) => {
        this.#isOver = true;
        this.#changed();
        resolve(exitCode);
      });
    });
  }

  type(keys: string): void {
    this.#pty.write(keys);
  }

  /** Waits until the screen shows this. */
  async shows(what: RegExp | string): Promise<void> {
    await this.#until(
      () => (typeof what === 'string' ? this.display.text.includes(what) : what.test(this.display.text)),
      String(what),
    );
  }

  /** Waits until this is the last line. */
  async endsWith(line: string): Promise<void> {
    await this.#until(() => this.display.lines.at(-1) === line.trimEnd(), line);
  }

  kill(signal: NodeJS.Signals): void {
    this.#pty.kill(signal);
  }

  close(): void {
    if (!this.#isOver) this.kill('SIGKILL');
  }

  /** Waits until this is so; `what` says it in an error. */
  holds(condition: () => boolean, what: string): Promise<void> {
    return this.#until(condition, what);
  }

  async #until(holds: () => boolean, what: string): Promise<void> {
    const late = AbortSignal.timeout(15_000);
    setMaxListeners(0, late);
    while (!holds()) {
      if (this.#isOver || late.aborted)
        throw new Error(`the terminal does not show ${what} but:\n${this.display.text}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
        late.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }
}
