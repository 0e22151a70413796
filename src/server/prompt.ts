/** Reads a password from a file, from standard input, or from a terminal without showing it. Never from an argument. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { ReadStream } from 'node:tty';
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
  const [password, again] = await askTwice(name);
  if (again !== password) {
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

/** Raw from before the first prompt to the end: what is typed ahead is not shown either. */
async function askTwice(name: string): Promise<[string, string]> {
  const { stdin, stderr } = process;
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  try {
    stderr.write(`password for ${name}: `);
    const first = await typedLine(stdin);
    stderr.write('\nagain: ');
    return [first, await typedLine(stdin)];
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}

/** Keys up to the next Enter. @throws ParleyError CANCELLED */
async function typedLine(input: ReadStream): Promise<string> {
  const typed: string[] = [];
  while (true) {
    const data = once(input, 'data');
    input.resume();
    const [text] = (await data) as [string];
    input.pause();
    const keys = Array.from(text);
    for (const [at, key] of keys.entries()) {
      if (key === KEYS.interrupt || key === KEYS.end) throw new ParleyError('CANCELLED');
      if (key === KEYS.enter || key === KEYS.newline) {
        const rest = keys.slice(at + 1).join('');
        if (rest !== '') input.unshift(rest);
        return typed.join('');
      }
      if (key === KEYS.backspace || key === KEYS.delete) typed.pop();
      else typed.push(key);
    }
  }
}
