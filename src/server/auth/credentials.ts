/**
 * `Credentials.txt`: users for a server, by hand.
 *
 * UTF-8, with or without a byte order mark, lines ended by LF or CR LF. A line is a name, ONE space or tab, and the password, which is
 * the rest of the line as it stands: further spaces, also at its end, belong to it. Blank lines, and lines that begin with `#` (after
 * spaces, if any), are passed over. Users that the file does not name are left as they are.
 */
import { readFile } from 'node:fs/promises';
import { ParleyError } from '../../protocol/errors.js';
import { nameKey, parseUserName } from '../../protocol/values.js';
import type { UserName } from '../../protocol/values.js';
import type { Storage } from '../storage/port.js';
import { MAX_HASHES, parseNewPassword } from './passwords.js';
import type { Passwords } from './passwords.js';

export interface Credential {
  readonly name: UserName;
  readonly password: string;
}

export interface ImportResult {
  readonly added: number;
  /** Users whose password differed. */
  readonly changed: number;
  readonly unchanged: number;
}

/**
 * What the file says; undefined when there is none.
 * @throws ParleyError FILE_MISSING when it cannot be read, USAGE (with file and line) when it is not of its form
 */
export async function readCredentials(path: string, signal?: AbortSignal): Promise<Credential[] | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path, { signal });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    if (signal?.aborted === true) throw new ParleyError('CANCELLED');
    const reason = error instanceof Error ? error.message : 'unknown';
    throw new ParleyError('FILE_MISSING', { path, reason }, { cause: error });
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ParleyError('USAGE', { reason: `${path} is not UTF-8; save it as UTF-8` });
  }
  return parseCredentials(text, path);
}

/**
 * `file` is what errors call it. They name lines and never what is in them, which may be a password at the wrong place.
 * @throws ParleyError USAGE
 */
export function parseCredentials(text: string, file: string): Credential[] {
  const credentials: Credential[] = [];
  const lineOf = new Map<string, number>();
  for (const [index, raw] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    const number = index + 1;
    const line = raw.replace(/\r$/, '');
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue;
    const refuse = (reason: string): never => {
      throw new ParleyError('USAGE', { reason: `${file}:${number}: ${reason}` });
    };
    const credential = parseLine(line, refuse);
    const key = nameKey(credential.name);
    const first = lineOf.get(key);
    if (first !== undefined)
      refuse(`the user of line ${first} again (letters' case does not count); keep one of the two`);
    lineOf.set(key, number);
    credentials.push(credential);
  }
  return credentials;
}

function parseLine(line: string, refuse: (reason: string) => never): Credential {
  const separator = line.search(/[ \t]/);
  if (separator === 0) refuse('a space before the name; begin the line with the name');
  // A line without a password may as well be one without a name.
  if (separator === -1 || line.length === separator + 1) {
    refuse('there is no password; write the name, a space and the password');
  }
  return {
    name: explained(() => parseUserName(line.slice(0, separator)), refuse),
    password: explained(() => parseNewPassword(line.slice(separator + 1)), refuse),
  };
}

/** What `parse` gives; its refusal loses the value and keeps the reason. */
function explained<T>(parse: () => T, refuse: (reason: string) => never): T {
  try {
    return parse();
  } catch (error) {
    const given = error instanceof ParleyError ? error.details['reason'] : undefined;
    const reason = typeof given === 'string' ? given : 'it cannot be used';
    const isName = error instanceof ParleyError && error.code === 'BAD_NAME';
    return refuse(isName ? `the name before the first space cannot be used: ${reason}` : reason);
  }
}

/**
 * Adds users that there are not, and sets passwords that differ; a password that is the same costs one hash and writes nothing.
 * `at`: epoch milliseconds, when new users count as created.
 * @throws ParleyError CANCELLED, DISK_FULL; what was done until then stays
 */
export async function importCredentials(
  storage: Pick<Storage, 'findUser' | 'createUser' | 'setPasswordHash'>,
  credentials: readonly Credential[],
  passwords: Passwords,
  at: number,
  signal?: AbortSignal,
): Promise<ImportResult> {
  const result = { added: 0, changed: 0, unchanged: 0 };
  const options = { signal, mustQueue: true };
  const importOne = async ({ name, password }: Credential): Promise<keyof ImportResult> => {
    const user = await storage.findUser(name);
    if (user !== undefined && (await passwords.verify(user.passwordHash, password, options))) return 'unchanged';
    const hash = await passwords.hash(password, options);
    if (user === undefined && (await storage.createUser(name, hash, at)) !== undefined) return 'added';
    // Or somebody added it meanwhile.
    const id = user?.id ?? (await storage.findUser(name))?.id;
    if (id !== undefined) await storage.setPasswordHash(id, hash);
    return 'changed';
  };
  const rest = credentials.values();
  const work = async (): Promise<void> => {
    for (const credential of rest) result[await importOne(credential)] += 1;
  };
  // As many as hash at once: none of them keeps a login waiting longer than its own turn.
  const workers = await Promise.allSettled(Array.from({ length: MAX_HASHES }, work));
  for (const worker of workers) if (worker.status === 'rejected') throw worker.reason;
  return result;
}
