/** Questions on the terminal. What is typed for a password is not shown, and the terminal is always put back as it was. */
import { openSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { ReadStream, WriteStream } from 'node:tty';
import { ParleyError } from '../protocol/errors.js';
import { MAX_PASSWORD_BYTES } from '../protocol/limits.js';
import { printable } from '../protocol/values.js';

export interface Question {
  /** Printed as it is; remote or typed text in it has to be printable. */
  readonly text: string;
  /** Whether what is typed is shown. */
  readonly echo: boolean;
}

/** Whether a person sits at a terminal of this process and can be asked. */
export function canAsk(): boolean {
  return process.stderr.isTTY && (process.stdin.isTTY || process.stdout.isTTY);
}

interface Terminal {
  readonly input: ReadStream;
  readonly output: WriteStream;
}

/** The terminal itself, so that questions work while standard input and output are redirected. */
function openTerminal(): Terminal {
  if (process.platform === 'win32') {
    return {
      input: new ReadStream(openSync('\\\\.\\CONIN$', 'r+')),
      output: new WriteStream(openSync('\\\\.\\CONOUT$', 'w')),
    };
  }
  return { input: new ReadStream(openSync('/dev/tty', 'r')), output: new WriteStream(openSync('/dev/tty', 'w')) };
}

/**
 * Asks one question and resolves with the line that is typed.
 * @throws ParleyError CANCELLED on Ctrl-C, on Ctrl-D in an empty line, and when the signal aborts; LOGIN_REQUIRED when there is no terminal
 */
export async function ask(question: Question, signal?: AbortSignal): Promise<string> {
  signal?.throwIfAborted();
  let terminal: Terminal;
  try {
    terminal = openTerminal();
  } catch (cause) {
    throw new ParleyError('LOGIN_REQUIRED', {}, { cause });
  }
  const { input, output } = terminal;
  const restore = (): void => {
    input.setRawMode(false);
  };
  process.once('exit', restore);
  input.setRawMode(true);
  output.write(question.text);
  try {
    return await readLine(terminal, question.echo, signal);
  } finally {
    restore();
    process.removeListener('exit', restore);
    output.write('\n');
    input.destroy();
    output.end();
  }
}

function readLine({ input, output }: Terminal, echo: boolean, signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const decoder = new StringDecoder('utf8');
    const line = new TypedLine(echo ? (text): void => void output.write(text) : (): void => undefined);
    const stop = (finish: () => void): void => {
      signal?.removeEventListener('abort', onAbort);
      input.removeAllListeners();
      input.on('error', () => undefined);
      input.pause();
      finish();
    };
    const cancel = (cause?: unknown): void => stop(() => reject(new ParleyError('CANCELLED', {}, { cause })));
    const onAbort = (): void => cancel(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    input.on('error', cancel);
    input.on('end', () => cancel());
    input.on('data', (bytes: Buffer) => {
      for (const c of decoder.write(bytes)) {
        const step = line.type(c);
        if (step === 'more') continue;
        if (step === 'cancelled') cancel();
        else stop(() => resolve(line.text));
        return;
      }
    });
  });
}

/** One line under the few keys that a question needs. */
export class TypedLine {
  readonly #show: (text: string) => void;
  #characters: string[] = [];
  /** Inside an escape sequence of a key that means nothing here. */
  #escape: 'none' | 'begun' | 'sequence' = 'none';

  constructor(show: (text: string) => void) {
    this.#show = show;
  }

  get text(): string {
    return this.#characters.join('');
  }

  type(c: string): 'more' | 'done' | 'cancelled' {
    if (this.#skipsEscape(c)) return 'more';
    switch (c) {
      case '\r':
      case '\n':
        return 'done';
      case '\u0003': // Ctrl-C
        return 'cancelled';
      case '\u0004': // Ctrl-D
        return this.#characters.length === 0 ? 'cancelled' : 'more';
      case '\u007f': // Backspace
      case '\b':
        this.#erase(1);
        return 'more';
      case '\u0015': // Ctrl-U
        this.#erase(this.#characters.length);
        return 'more';
      default:
        // A password may hold any character but controls; more than the server takes is of no use.
        if (c < ' ' || this.#characters.length >= MAX_PASSWORD_BYTES) return 'more';
        this.#characters.push(c);
        this.#show(printable(c));
        return 'more';
    }
  }

  #skipsEscape(c: string): boolean {
    if (this.#escape === 'none') {
      if (c !== '\u001b') return false;
      this.#escape = 'begun';
    } else if (this.#escape === 'begun') {
      this.#escape = c === '[' || c === 'O' ? 'sequence' : 'none';
    } else if (c >= '@' && c <= '~') this.#escape = 'none';
    return true;
  }

  #erase(count: number): void {
    for (const c of this.#characters.splice(this.#characters.length - count)) {
      const columns = printable(c).length;
      this.#show('\b'.repeat(columns) + ' '.repeat(columns) + '\b'.repeat(columns));
    }
  }
}
