/** Reads a password from a file, from standard input, or from a terminal without showing it. Never from an argument. */
import { readFile } from 'node:fs/promises';
import type { ReadStream, WriteStream } from 'node:tty';
import { ParleyError } from '../protocol/errors.js';
import { MAX_PASSWORD_BYTES } from '../protocol/limits.js';

const STDIN = '-';
/** Bytes of standard input that are looked at for a password's line. */
const MAX_INPUT_BYTES = 4 * MAX_PASSWORD_BYTES;

const KEYS = { enter: '\r', newline: '\n', interrupt: '\u0003', end: '\u0004', backspace: '\b', delete: '\u007f' };

/**
 * The password for `name`: the first line of `file` (`-` is stdin), or of stdin when that is no terminal, or what is typed twice.
 * @throws ParleyError USAGE, FILE_MISSING, CANCELLED
 */
export async function readPassword(name: string, file: string | undefined): Promise<string> {
  if (file !== undefined && file !== STDIN) return firstLine(await readPasswordFile(file));
  if (file === STDIN || !process.stdin.isTTY) return firstLine(await readInput());
  const password = await ask(`password for ${name}: `);
  if ((await ask('again: ')) !== password) {
    throw new ParleyError('USAGE', { reason: 'the two passwords differ; nothing was changed, try again' });
  }
  return password;
}

async function readPasswordFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new ParleyError('FILE_MISSING', { path, reason: (cause as Error).message }, { cause });
  }
}

async function readInput(): Promise<string> {
  let text = '';
  process.stdin.setEncoding('utf8');
  for await (const piece of process.stdin as AsyncIterable<string>) {
    text += piece;
    if (text.includes('\n') || text.length > MAX_INPUT_BYTES) break;
  }
  return text;
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').replace(/\r$/, '');
}

/** One line from the terminal, which shows nothing of it. @throws ParleyError CANCELLED */
export async function ask(
  prompt: string,
  input: ReadStream = process.stdin,
  output: WriteStream | NodeJS.WriteStream = process.stderr,
): Promise<string> {
  output.write(prompt);
  input.setRawMode(true);
  input.setEncoding('utf8');
  input.resume();
  try {
    return await new Promise<string>((resolve, reject) => {
      let typed: string[] = [];
      const finish = (settle: () => void): void => {
        input.off('data', take);
        settle();
      };
      const take = (text: string): void => {
        for (const key of text) {
          if (key === KEYS.enter || key === KEYS.newline) {
            finish(() => resolve(typed.join('')));
            return;
          }
          if (key === KEYS.interrupt || key === KEYS.end) {
            finish(() => reject(new ParleyError('CANCELLED')));
            return;
          }
          if (key === KEYS.backspace || key === KEYS.delete) typed = typed.slice(0, -1);
          else typed.push(key);
        }
      };
      input.on('data', take);
    });
  } finally {
    input.setRawMode(false);
    input.pause();
    output.write('\n');
  }
}
