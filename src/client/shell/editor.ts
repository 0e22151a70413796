/** The line that is being typed: readline edits it, somebody else draws it. */
import { PassThrough, Writable } from 'node:stream';
import { createInterface, emitKeypressEvents } from 'node:readline';
import type { Interface, Key } from 'node:readline';
import { ReverseSearch } from './search.js';

/** Lines that Ctrl-R and the arrows find. */
const HISTORY_LINES = 1_000;

export interface EditorOptions {
  readonly input: NodeJS.ReadStream;
  /** Newest first. */
  readonly history: string[];
  readonly complete: (line: string) => Promise<[string[], string]>;
  readonly onLine: (line: string) => void;
  /** Ctrl-C. */
  readonly onInterrupt: () => void;
  /** No more lines will come. */
  readonly onEnd: () => void;
  /** What Tab has to offer, when it is pressed twice. */
  readonly onOffers: (offers: readonly string[]) => void;
  /** Ctrl-L. */
  readonly onClear: () => void;
  /** Back after Ctrl-Z: what was drawn is gone. */
  readonly onResume: () => void;
  /** The line or the cursor may be another now. */
  readonly onChange: () => void;
}

export interface EditedLine {
  /** Stands in place of the prompt. */
  readonly label: string | undefined;
  readonly line: string;
  readonly cursor: number;
}

export class Editor {
  readonly #options: EditorOptions;
  readonly #readline: Interface;
  #history: readonly string[];
  #search: ReverseSearch | undefined;
  #lastQuery = '';
  #lastKey: string | undefined;
  /** Characters that readline gets together: one by one it would measure a pasted line anew for each. */
  #typed = '';
  #isOver = false;

  constructor(options: EditorOptions) {
    this.#options = options;
    this.#history = options.history;
    const { input } = options;
    // Keys come through our hands; readline has the raw mode in its own.
    const keys = Object.assign(new PassThrough(), {
      isRaw: input.isRaw,
      setRawMode: (mode: boolean) => void input.setRawMode(mode),
    });
    this.#readline = createInterface({
      input: keys,
      output: new Writable({ write: (_chunk, _encoding, done) => done() }),
      terminal: true,
      prompt: '',
      history: options.history,
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
      completer: (line: string, done: (error: null, result: [string[], string]) => void) => {
        void this.#complete(line, done);
      },
    });
    this.#readline.on('history', (lines: string[]) => (this.#history = [...lines]));
    this.#readline.on('line', (line) => options.onLine(line));
    this.#readline.on('SIGINT', () => options.onInterrupt());
    this.#readline.on('SIGCONT', () => {
      this.#readline.resume(); // It has paused its input.
      options.onResume();
    });
    this.#readline.on('pause', () => void input.pause());
    this.#readline.on('resume', () => void input.resume());
    this.#readline.on('close', () => this.#end());
    emitKeypressEvents(input, this.#readline);
    input.on('keypress', this.#onKey);
    input.on('end', this.#onInputEnd);
    input.on('error', this.#onInputEnd);
    input.resume();
  }

  get edited(): EditedLine {
    this.#insert();
    const search = this.#search;
    if (search === undefined) return { label: undefined, line: this.#readline.line, cursor: this.#readline.cursor };
    const line = search.match ?? this.#readline.line;
    return { label: search.label, line, cursor: search.match === undefined ? line.length : search.cursor };
  }

  /** Drops what was typed. */
  clear(): void {
    this.#replace('', 0);
  }

  /** Gives the terminal back. Idempotent. */
  close(): void {
    this.#typed = '';
    this.#isOver = true;
    const { input } = this.#options;
    input.removeListener('keypress', this.#onKey);
    input.removeListener('end', this.#onInputEnd);
    this.#readline.close();
    input.pause();
  }

  readonly #onInputEnd = (): void => this.#readline.close();

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onEnd();
  }

  readonly #onKey = (text: string | undefined, key: Key): void => {
    if (this.#isOver) return;
    if (this.#search === undefined && isText(text, key)) {
      this.#typed += text;
      this.#lastKey = key.name;
      this.#options.onChange();
      return;
    }
    this.#insert();
    if (this.#search !== undefined) this.#searchKey(this.#search, text, key);
    else if (key.ctrl === true && key.name === 'r') this.#search = new ReverseSearch(this.#history);
    else if (key.ctrl === true && key.name === 'l') this.#options.onClear();
    else this.#readline.write(text, key);
    this.#lastKey = key.name;
    this.#options.onChange();
  };

  #searchKey(search: ReverseSearch, text: string | undefined, key: Key): void {
    const { name, ctrl = false } = key;
    if (ctrl && name === 'r') {
      if (search.query === '') search.type(this.#lastQuery);
      else search.older();
    } else if (ctrl && name === 's') search.newer();
    else if (ctrl && (name === 'c' || name === 'g')) this.#leaveSearch();
    else if (name === 'backspace') search.erase();
    else if (name === 'escape') this.#accept(search);
    else if (isText(text, key)) search.type(text);
    else {
      this.#accept(search);
      this.#readline.write(text, key);
    }
  }

  #accept(search: ReverseSearch): void {
    const { match, cursor } = search;
    this.#leaveSearch();
    if (match !== undefined) this.#replace(match, cursor);
  }

  #leaveSearch(): void {
    if (this.#search !== undefined && this.#search.query !== '') this.#lastQuery = this.#search.query;
    this.#search = undefined;
  }

  #insert(): void {
    const text = this.#typed;
    this.#typed = '';
    // Only Enter ends a line.
    if (text !== '' && !this.#isOver) this.#readline.write(text.replace(/[\u2028\u2029]/g, ' '));
  }

  #replace(line: string, cursor: number): void {
    if (this.#isOver) return;
    this.#insert();
    this.#readline.write(null, { ctrl: true, name: 'e' });
    this.#readline.write(null, { ctrl: true, name: 'u' });
    if (line !== '') this.#readline.write(line);
    for (let i = Array.from(line.slice(cursor)).length; i > 0; i--) this.#readline.write(null, { name: 'left' });
  }

  /** readline puts in what all offers have in common; the second Tab in a row shows them. */
  async #complete(line: string, done: (error: null, result: [string[], string]) => void): Promise<void> {
    const again = this.#lastKey === 'tab';
    const result = await this.#options.complete(line).catch((): [string[], string] => [[], line]);
    if (this.#isOver) return;
    const before = this.#readline.line;
    done(null, result);
    const [offers] = result;
    if (again && offers.length > 1 && this.#readline.line === before) this.#options.onOffers(offers);
    this.#options.onChange();
  }
}

/** A character that goes into the line as it is. */
function isText(text: string | undefined, { ctrl = false, meta = false, name }: Key): text is string {
  return text !== undefined && !ctrl && !meta && name !== 'escape' && !/^\p{Cc}/u.test(text);
}
