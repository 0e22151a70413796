/** A terminal without cursor movements (TERM=dumb): lines come whole from it, and what is printed stands below the half-typed one. */
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import { LEAVE_HINT } from './screen.js';
import type { Screen, ScreenOptions } from './screen.js';

export class PlainScreen implements Screen {
  readonly canvas = undefined;
  readonly #options: ScreenOptions;
  readonly #readline: Interface;
  #busy = true;
  #closed = false;

  constructor(options: ScreenOptions) {
    this.#options = options;
    this.#readline = createInterface({ input: options.input, terminal: false });
    this.#readline.on('line', (line) => options.onLine(line));
    this.#readline.on('close', () => {
      if (this.#closed) return;
      this.#closed = true;
      if (!this.#busy) options.output.write('\n'); // The prompt's line ends here.
      options.onEnd();
    });
  }

  print(text: string): void {
    const whole = text.endsWith('\n') ? text : `${text}\n`;
    const shows = !this.#busy && !this.#closed;
    this.#options.output.write(shows ? `\n${whole}${this.#prompt}` : whole);
  }

  signal(sequence: string): void {
    this.#options.output.write(sequence);
  }

  hold(): void {
    this.#busy = true;
  }

  release(): void {
    if (this.#closed) return;
    this.#busy = false;
    this.#options.output.write(this.#prompt);
  }

  /** The prompt that stands there cannot be taken back; the next one is right. */
  refresh(): void {}

  echo(line: string): void {
    this.#options.output.write(`${this.#prompt}${line}\n`);
  }

  dismiss(): void {
    if (!this.#busy && !this.#closed) this.#options.output.write('\n');
    this.hold();
  }

  /** The terminal itself has dropped its line. */
  interrupt(): void {
    if (this.#busy) this.#options.onInterrupt();
    else this.#options.output.write(`${LEAVE_HINT}\n${this.#prompt}`);
  }

  close(): void {
    this.#closed = true;
    this.#readline.close();
  }

  get #prompt(): string {
    const { prompt, output } = this.#options;
    return prompt(output.columns > 1 ? output.columns : 80).plain;
  }
}
