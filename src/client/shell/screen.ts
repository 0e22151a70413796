/** The terminal of the shell: a line that is being typed, and what is printed above it without disturbing it. */
import type { Canvas } from '../progress.js';
import { EMPTY_VIEW, LiveArea, seenText } from '../livearea.js';
import type { Size, View } from '../livearea.js';
import { clip, displayWidth } from '../width.js';
import { Editor } from './editor.js';

export interface ScreenOptions {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  /** Newest first. */
  readonly history: string[];
  readonly complete: (line: string) => Promise<[string[], string]>;
  /** The prompt for a terminal of so many columns. */
  readonly prompt: (columns: number) => Prompt;
  readonly onLine: (line: string) => void;
  /** Ctrl-C while a command runs. */
  readonly onInterrupt: () => void;
  /** No more lines will come. */
  readonly onEnd: () => void;
}

export interface Prompt {
  readonly plain: string;
  readonly styled: string;
}

export interface Screen {
  /** Bars above the line; undefined where none can be drawn. */
  readonly canvas: Canvas | undefined;
  /** Prints whole lines above the prompt and the half-typed line. */
  print(text: string): void;
  /** Sends what moves no cursor: a bell. */
  signal(sequence: string): void;
  /** Takes the prompt away while a command runs; what is typed meanwhile stands there, and at the next one. */
  hold(): void;
  /** Shows the prompt, with what was typed meanwhile. */
  release(): void;
  /** Draws a prompt that is another now. */
  refresh(): void;
  /** Shows a line that was typed while another ran. */
  echo(line: string): void;
  /** Takes the prompt away for good, with what was typed. */
  dismiss(): void;
  /** Ctrl-C: cancels the command that runs, else drops the line. */
  interrupt(): void;
  /** Gives the terminal back. Idempotent. */
  close(): void;
}

export const LEAVE_HINT = ' (exit or Ctrl-D leaves)';
/** Stands before what is typed while a command runs. */
const BUSY_PROMPT = '... ';
/** Characters that wait for the terminal at most: then they are written whether it takes them or not. */
const MAX_WAITING = 1024 * 1024;
const CLEAR_SCREEN = '\u001b[2J\u001b[H';

/** Everything that changes within a turn of the loop is written at its end, at once: no row is ever seen half drawn. */
export class LiveScreen implements Screen {
  readonly #options: ScreenOptions;
  readonly #area = new LiveArea();
  readonly #editor: Editor;
  #bars: readonly string[] = [];
  #above = '';
  #signals = new Set<string>();
  #scheduled = false;
  #isFull = false;
  #busy = true;
  #dismissed = false;
  #closed = false;

  constructor(options: ScreenOptions) {
    this.#options = options;
    this.#editor = new Editor({
      ...options,
      onLine: (line) => this.#accept(line),
      onInterrupt: () => this.interrupt(),
      onEnd: () => this.#end(),
      onOffers: (offers) => this.print(columnsOf(offers, this.#size().columns)),
      onClear: () => this.#clear(),
      onResume: () => this.#startAnew(),
      onChange: () => this.#schedule(),
    });
    options.output.on('resize', this.#onResize);
    options.output.on('drain', this.#onDrain);
  }

  readonly canvas: Canvas = {
    columns: () => this.#size().columns,
    draw: (rows) => {
      this.#bars = rows;
      this.#schedule();
    },
    leave: (rows) => {
      this.#bars = [];
      if (rows.length > 0) this.print(rows.join('\n'));
    },
  };

  print(text: string): void {
    this.#above += text.endsWith('\n') ? text : `${text}\n`;
    if (this.#above.length > MAX_WAITING) this.#flush();
    else this.#schedule();
  }

  signal(sequence: string): void {
    this.#signals.add(sequence);
    this.#schedule();
  }

  hold(): void {
    this.#busy = true;
    this.#schedule();
  }

  release(): void {
    this.#busy = false;
    this.#schedule();
  }

  refresh(): void {
    this.#schedule();
  }

  echo(line: string): void {
    this.print(`${this.#prompt().styled}${seenText(line)}`);
  }

  dismiss(): void {
    this.#dismissed = true;
    this.hold();
  }

  interrupt(): void {
    if (this.#busy) {
      this.#options.onInterrupt();
      return;
    }
    const { line } = this.#editor.edited;
    this.echo(`${line}^C${line === '' ? LEAVE_HINT : ''}`);
    this.#editor.clear();
  }

  close(): void {
    if (this.#closed) return;
    this.dismiss();
    this.#flush();
    this.#closed = true;
    const { output } = this.#options;
    output.removeListener('resize', this.#onResize);
    output.removeListener('drain', this.#onDrain);
    this.#editor.close();
  }

  #accept(line: string): void {
    if (!this.#busy) this.echo(line);
    this.#options.onLine(line);
  }

  #end(): void {
    if (!this.#busy) this.echo('');
    this.#dismissed = true;
    this.#options.onEnd();
  }

  readonly #onResize = (): void => this.#schedule();

  readonly #onDrain = (): void => {
    this.#isFull = false;
    this.#schedule();
  };

  #clear(): void {
    this.#flush();
    this.#options.output.write(CLEAR_SCREEN);
    this.#startAnew();
  }

  #startAnew(): void {
    this.#area.forget();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#isFull) this.#flush();
    });
  }

  #flush(): void {
    if (this.#closed) return;
    const text = this.#area.draw(this.#view(), this.#size(), this.#above) + [...this.#signals].join('');
    this.#above = '';
    this.#signals.clear();
    if (text !== '') this.#isFull = !this.#options.output.write(text);
  }

  #view(): View {
    const bars = this.#bars;
    if (this.#dismissed) return { ...EMPTY_VIEW, bars };
    const { label, line, cursor } = this.#editor.edited;
    if (label !== undefined) return { bars, prompt: label, line, cursor };
    if (this.#busy) return { bars, prompt: line === '' ? '' : BUSY_PROMPT, line, cursor };
    const { plain, styled } = this.#prompt();
    return { bars, prompt: plain, styledPrompt: styled, line, cursor };
  }

  #prompt(): Prompt {
    return this.#options.prompt(this.#size().columns);
  }

  /** A terminal that does not say how large it is counts as an ordinary one. */
  #size(): Size {
    const { columns, rows } = this.#options.output;
    return { columns: columns > 1 ? columns : 80, rows: rows > 1 ? rows : 24 };
  }
}

/** What Tab offers, in columns beside each other. */
function columnsOf(offers: readonly string[], columns: number): string {
  const words = offers.map((offer) => clip(seenText(offer.trimEnd()), columns));
  const width = Math.max(...words.map(displayWidth)) + 2;
  const perRow = Math.max(1, Math.floor((columns + 2) / width));
  const rows = Array.from({ length: Math.ceil(words.length / perRow) }, (_, row) =>
    words.slice(row * perRow, (row + 1) * perRow),
  );
  return rows
    .map((row) =>
      row
        .map((word) => word + ' '.repeat(width - displayWidth(word)))
        .join('')
        .trimEnd(),
    )
    .join('\n');
}
