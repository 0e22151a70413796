/** Brings the users of the credentials file into the storage: at start when the file has changed, and whenever it is asked for. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ParleyError } from '../protocol/errors.js';
import { importCredentials, readCredentials } from './auth/credentials.js';
import type { Passwords } from './auth/passwords.js';
import type { ServeConfig } from './config.js';
import type { Log } from './log.js';
import type { Storage } from './storage/port.js';

export interface ImportParts {
  readonly storage: Storage;
  readonly passwords: Passwords;
  readonly log: Log;
}

/**
 * `when` `changed`: a file that was imported as it is now is passed over, so that a password set by `server user passwd`
 * stays, and a start does not cost a hash for each user.
 * @throws ParleyError FILE_MISSING when a named file is not there or cannot be read; USAGE with file and line; DISK_FULL
 */
export async function importFromFile(
  { credentials: path, credentialsNamed }: Pick<ServeConfig, 'credentials' | 'credentialsNamed'>,
  when: 'changed' | 'always',
  { storage, passwords, log }: ImportParts,
): Promise<void> {
  const setting = `credentials ${createHash('sha256').update(resolve(path)).digest('hex')}`;
  const stamp = await stampOf(path);
  if (stamp !== undefined && when === 'changed' && (await storage.getSetting(setting)) === stamp) return;
  const credentials = await readCredentials(path);
  if (credentials === undefined) {
    if (credentialsNamed) throw new ParleyError('FILE_MISSING', { path, reason: 'there is no such file' });
    // At a start it is nothing unusual: accounts can be managed without it.
    if (when === 'always')
      log.warn({ path: resolve(path) }, 'there are no credentials to reread; accounts stay as they are');
    return;
  }
  const result = await importCredentials(storage, credentials, passwords, Date.now());
  if (stamp !== undefined) await storage.setSetting(setting, stamp);
  log.info({ path, ...result }, 'credentials imported');
}

/** Tells one state of a file from another without looking into it: what is in it must not be kept, not even as a digest. */
async function stampOf(path: string): Promise<string | undefined> {
  try {
    const { size, mtimeNs, ctimeNs, ino } = await stat(path, { bigint: true });
    return [size, mtimeNs, ctimeNs, ino].join(' ');
  } catch {
    return undefined;
  }
}

export async function warnWhenNobodyCanLogIn(
  { credentials: path }: Pick<ServeConfig, 'credentials'>,
  { storage, log }: Pick<ImportParts, 'storage' | 'log'>,
): Promise<void> {
  if ((await storage.listUsers({ limit: 1 })).length > 0) return;
  log.warn({ path }, 'there are no users yet: write the file and send SIGHUP, or use `server user add NAME`');
}
