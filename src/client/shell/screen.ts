/** The terminal of the shell: a line that is being typed, and what is printed above it without disturbing it. */
import { Writable } from 'node:stream';
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import type { Progress } from '../progress.js';

export interface ScreenOptions {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  readonly prompt: string;
  /** Newest first. */
  readonly history: string[];
  readonly complete: (line: string) => Promise<[string[], string]>;
  readonly onLine: (line: string) => void;
  /** Ctrl-C while a command runs. */
  readonly onInterrupt: () => void;
  /** No more lines will come. */
  readonly onEnd: () => void;
}

/** What readline writes goes through here, so that it can be kept off the screen while a command runs. */
class Gate extends Writable {
  readonly #output: NodeJS.WriteStream;
  isOpen = true;

  constructor(output: NodeJS.WriteStream) {
    super({ decodeStrings: false });
    this.#output = output;
    output.on('resize', this.#onResize);
  }

  readonly #onResize = (): void => void this.emit('resize');

  get columns(): number {
    return this.#output.columns;
  }

  get rows(): number {
    return this.#output.rows;
  }

  override _write(chunk: string | Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.isOpen) this.#output.write(chunk);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#output.removeListener('resize', this.#onResize);
    done(error);
  }
}

export class Screen {
  readonly #options: ScreenOptions;
  readonly #gate: Gate;
  readonly #readline: Interface;
  /** Without cursor movements (TERM=dumb) lines come whole from the terminal. */
  readonly #isPlain: boolean;
  #busy = true;
  #bars: Progress | undefined;
  #closed = false;

  constructor(options: ScreenOptions) {
    this.#options = options;
    this.#isPlain = process.env['TERM'] === 'dumb';
    this.#gate = new Gate(options.output);
    this.#gate.isOpen = false;
    this.#readline = createInterface({
      input: options.input,
      output: this.#gate,
      terminal: !this.#isPlain,
      prompt: options.prompt,
      history: options.history,
      historySize: 1_000,
      removeHistoryDuplicates: true,
      completer: (line: string, done: (error: null, result: [string[], string]) => void) => {
        options.complete(line).then(
          (result) => done(null, result),
          () => done(null, [[], line]),
        );
      },
    });
    // readline forgets rows that pasted text filled, and would draw over what stands above: this comes behind its own listener.
    if (!this.#isPlain) options.input.on('keypress', this.#noteRows);
    this.#readline.on('line', (line) => options.onLine(line));
    this.#readline.on('SIGINT', () => this.interrupt());
    this.#readline.on('close', () => {
      if (this.#closed) return;
      this.#closed = true;
      if (!this.#busy) options.output.write('\n'); // The prompt's line ends here.
      options.onEnd();
    });
  }

  /** Whether the prompt is away because a command runs. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Takes the prompt away while a command runs; what is typed meanwhile stands at the next one. */
  hold(): void {
    this.#busy = true;
    this.#gate.isOpen = false;
  }

  /** Shows the prompt, with what was typed meanwhile. */
  release(): void {
    if (this.#closed) return;
    this.#busy = false;
    this.#gate.isOpen = true;
    this.#drawPrompt();
  }

  /** Shows a line that was typed while another ran. */
  echo(line: string): void {
    this.#options.output.write(`${this.#options.prompt}${line}\n`);
  }

  /** Bars that are drawn now: what is printed goes above them. */
  set bars(bars: Progress | undefined) {
    this.#bars = bars;
  }

  /** Prints whole lines above the prompt and the half-typed line. */
  print(text: string): void {
    const { output } = this.#options;
    if (this.#busy || this.#closed) {
      if (this.#bars === undefined) output.write(text);
      else this.#bars.print(text);
      return;
    }
    output.write(this.#erasePrompt() + text);
    this.#drawPrompt();
  }

  /** Takes the prompt away for good, with what was typed. */
  dismiss(): void {
    if (!this.#busy && !this.#closed) this.#options.output.write(this.#erasePrompt());
    this.hold();
  }

  /** Ctrl-C: cancels the command that runs, else drops the line. */
  interrupt(): void {
    if (this.#busy) {
      this.#options.onInterrupt();
      return;
    }
    const hint = this.#isPlain || this.#readline.line === '' ? ' (exit or Ctrl-D leaves)' : '';
    if (this.#isPlain) {
      // The terminal itself has dropped its line.
      this.#options.output.write(`${hint}\n`);
    } else {
      this.#readline.write(null, { ctrl: true, name: 'e' });
      this.#options.output.write(`^C${hint}\n`);
      this.#gate.isOpen = false;
      this.#readline.write(null, { ctrl: true, name: 'u' });
      this.#gate.isOpen = true;
    }
    this.#drawPrompt();
  }

  /** Gives the terminal back. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#gate.isOpen = false;
    this.#options.input.removeListener('keypress', this.#noteRows);
    this.#readline.close();
    this.#gate.destroy();
  }

  readonly #noteRows = (): void => void Object.assign(this.#readline, { prevRows: this.#readline.getCursorPos().rows });

  /** Up to the prompt's first row and all below it cleared; without cursor movements a line of its own has to do. */
  #erasePrompt(): string {
    if (this.#isPlain) return '\n';
    const { rows } = this.#readline.getCursorPos();
    return `${rows > 0 ? `\u001b[${rows}A` : ''}\r\u001b[J`;
  }

  /** readline must not go up to where it drew the line before: that place is somewhere else now. */
  #drawPrompt(): void {
    Object.assign(this.#readline, { prevRows: 0 });
    this.#readline.prompt(true);
  }
}
