/** Who to log in as, and the password: from settings, else asked on a terminal. */
import { createReadStream } from 'node:fs';
import { ParleyError } from '../protocol/errors.js';
import { MAX_PASSWORD_BYTES } from '../protocol/limits.js';
import { printable } from '../protocol/values.js';
import type { FaceContext } from './context.js';
import { ask, canAsk } from './prompt.js';
import type { Settings } from './settings.js';

export interface Credentials {
  readonly user: string;
  readonly password: string;
  /** Asks for the password once more; absent when it was not typed. */
  readonly askAgain?: () => Promise<Credentials>;
}

/** @throws ParleyError LOGIN_REQUIRED when something is missing and nobody can be asked; USAGE when a password file cannot be used */
export async function findCredentials(context: Pick<FaceContext, 'settings' | 'signal'>): Promise<Credentials> {
  const { settings, signal } = context;
  const given = await readPassword(settings.password);
  if ((settings.user === undefined || given === undefined) && !canAsk()) throw new ParleyError('LOGIN_REQUIRED');
  const user = settings.user ?? (await askUser(settings, signal));
  if (given !== undefined) return { user, password: given };
  const askPassword = async (): Promise<Credentials> => {
    const text = `password of ${printable(user)} at ${settings.server}: `;
    const password = await ask({ text, echo: false }, signal);
    if (password === '') throw new ParleyError('LOGIN_REQUIRED');
    return { user, password, askAgain: askPassword };
  };
  return askPassword();
}

/**
 * Takes the password off standard input when it comes from there, before commands are read from it.
 * @throws ParleyError USAGE when there is none
 */
export async function takeStdinPassword(settings: Settings): Promise<Settings> {
  if (settings.password?.kind !== 'stdin') return settings;
  const value = await readPassword(settings.password);
  return value === undefined ? settings : { ...settings, password: { kind: 'value', value } };
}

async function askUser(settings: Settings, signal: AbortSignal): Promise<string> {
  const user = await ask({ text: `user at ${settings.server}: `, echo: true }, signal);
  if (user.trim() === '') throw new ParleyError('LOGIN_REQUIRED');
  return user.trim();
}

async function readPassword(source: Settings['password']): Promise<string | undefined> {
  if (source === undefined) return undefined;
  if (source.kind === 'value') return source.value;
  const from = source.kind === 'stdin' ? 'standard input' : source.path;
  let password: string;
  try {
    password = source.kind === 'stdin' ? await firstStdinLine() : await firstFileLine(source.path);
  } catch (cause) {
    if (cause instanceof ParleyError) throw cause;
    const reason = `--password-file: ${from} cannot be read (${cause instanceof Error ? cause.message : 'it failed'})`;
    throw new ParleyError('USAGE', { reason }, { cause });
  }
  if (password === '')
    throw new ParleyError('USAGE', { reason: `--password-file: the first line of ${from} is empty` });
  return password;
}

/** At most a password and its line end are read, whatever the file is. */
async function firstFileLine(path: string): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of createReadStream(path, { end: MAX_PASSWORD_BYTES + 1 })) pieces.push(piece as Buffer);
  return firstLine(Buffer.concat(pieces));
}

/** What follows the line stays on standard input for the shell. */
async function firstStdinLine(): Promise<string> {
  const { stdin } = process;
  let bytes = Buffer.alloc(0);
  await new Promise<void>((resolve, reject) => {
    const done = (): void => {
      stdin.removeListener('readable', read);
      stdin.removeListener('end', done);
      stdin.removeListener('error', reject);
      resolve();
    };
    const read = (): void => {
      for (let piece = stdin.read() as Buffer | null; piece !== null; piece = stdin.read() as Buffer | null) {
        bytes = Buffer.concat([bytes, piece]);
        const end = bytes.indexOf(0x0a);
        if (end < 0 && bytes.length <= MAX_PASSWORD_BYTES + 1) continue;
        done();
        if (end >= 0 && end + 1 < bytes.length) stdin.unshift(bytes.subarray(end + 1));
        return;
      }
    };
    stdin.on('readable', read);
    stdin.once('end', done);
    stdin.once('error', reject);
  });
  return firstLine(bytes);
}

function firstLine(bytes: Buffer): string {
  const line = bytes.toString('utf8').split('\n')[0] ?? '';
  return line.replace(/\r$/, '');
}
