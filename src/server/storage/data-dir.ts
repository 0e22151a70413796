/** The folder of the server's data: made for its user alone, and held by one server at a time. */
import { chmod, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'libsql';
import { ParleyError } from '../../protocol/errors.js';
import { storageError } from './sqlite-connection.js';

export const DATABASE_FILE = 'parley.db';
const LOCK_FILE = 'server.lock';
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/**
 * Makes the folder and the database's file when they are not there, for this user only. SQLite gives its log the mode of the
 * database. Returns the path of the database.
 * @throws ParleyError DISK_FULL
 */
export async function prepareDataDir(dataDir: string): Promise<string> {
  await withDisk(dataDir, () => mkdir(dataDir, { recursive: true, mode: FOLDER_MODE }));
  const path = join(dataDir, DATABASE_FILE);
  await makePrivateFile(path);
  return path;
}

/**
 * Holds the folder for one server until the returned function is called or the process ends, however it ends: the lock is
 * SQLite's own on a file beside the database, which the system takes back. Tools that open the database do not ask for it.
 * @throws ParleyError DATA_IN_USE, DISK_FULL
 */
export async function lockDataDir(dataDir: string): Promise<() => void> {
  const path = join(dataDir, LOCK_FILE);
  await makePrivateFile(path);
  const lock = new Database(path, { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    const failure = storageError(error, 'write', path);
    if (failure.code !== 'SERVER_BUSY') throw failure;
    throw new ParleyError('DATA_IN_USE', { path: dataDir }, { cause: error });
  }
  return () => {
    if (!lock.open) return;
    lock.exec('ROLLBACK');
    lock.close();
  };
}

async function makePrivateFile(path: string): Promise<void> {
  await withDisk(path, async () => {
    try {
      // Only when it is new: closing a file takes away every lock that this process has on it.
      await (await open(path, 'wx', FILE_MODE)).close();
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      await chmod(path, FILE_MODE);
    }
  });
}

async function withDisk(path: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown';
    throw new ParleyError('DISK_FULL', { path, reason }, { cause: error });
  }
}
