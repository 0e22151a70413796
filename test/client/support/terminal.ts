/** The real `client` on a terminal of its own, and what that terminal shows. */
import { setMaxListeners } from 'node:events';
import { spawn } from '@lydell/node-pty';
import type { IPty } from '@lydell/node-pty';
import { CLIENT, cleanEnvironment } from './client.js';

const COLUMNS = 80;
const ROWS = 30;

/** As much of a terminal as the shell uses: text, line feeds, cursor movements and erasing. */
export class Display {
  #rows: string[][] = [[]];
  #row = 0;
  #column = 0;

  /** Lines without trailing spaces; empty ones at the end left out. */
  get lines(): string[] {
    // Cells that were jumped over were never written.
    const lines = this.#rows.map((row) =>
      Array.from({ length: row.length }, (_, i) => row[i] ?? ' ')
        .join('')
        .trimEnd(),
    );
    while (lines.length > 0 && lines.at(-1) === '') lines.pop();
    return lines;
  }

  get text(): string {
    return this.lines.join('\n');
  }

  write(data: string): void {
    // eslint-disable-next-line no-control-regex -- a terminal is made of control characters
    for (const [token, numbers, letter] of data.matchAll(/\u001b\[([?\d;]*)([A-Za-z])|\u001b.|[\s\S]/gu)) {
      if (letter !== undefined) this.#control(letter, Number(numbers ?? '') || 0);
      else if (!token.startsWith('\u001b')) this.#put(token);
    }
  }

  #put(c: string): void {
    if (c === '\r') this.#column = 0;
    else if (c === '\n') this.#goTo(this.#row + 1);
    else if (c === '\b') this.#column = Math.max(0, this.#column - 1);
    else if (c >= ' ') {
      if (this.#column >= COLUMNS) {
        this.#goTo(this.#row + 1);
        this.#column = 0;
      }
      const row = this.#rows[this.#row] ?? [];
      row[this.#column++] = c;
    }
  }

  #control(letter: string, n: number): void {
    const row = this.#rows[this.#row] ?? [];
    if (letter === 'A') this.#goTo(this.#row - Math.max(1, n));
    else if (letter === 'B') this.#goTo(this.#row + Math.max(1, n));
    else if (letter === 'C') this.#column += Math.max(1, n);
    else if (letter === 'D') this.#column = Math.max(0, this.#column - Math.max(1, n));
    else if (letter === 'G') this.#column = Math.max(1, n) - 1;
    else if (letter === 'K') row.length = Math.min(row.length, this.#column);
    else if (letter === 'J') {
      row.length = Math.min(row.length, this.#column);
      this.#rows.length = this.#row + 1;
    }
  }

  #goTo(row: number): void {
    this.#row = Math.max(0, row);
    while (this.#rows.length <= this.#row) this.#rows.push([]);
  }
}

export class Terminal {
  readonly display = new Display();
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
  ) {
    this.#pty = spawn(program, program === process.execPath ? [CLIENT, ...words] : [...words], {
      cols: COLUMNS,
      rows: ROWS,
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

  close(): void {
    if (!this.#isOver) this.#pty.kill('SIGKILL');
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
