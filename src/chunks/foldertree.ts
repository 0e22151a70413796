/** Making the folders and files of a folder that is being fetched, empty at first. */
import { closeSync, constants, lstatSync, mkdirSync, openSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { ParleyError } from '../protocol/errors.js';
import { noFollow } from './files.js';
import type { FolderLayout } from './folderlayout.js';
import { errnoOf } from './fserrors.js';

/** Files made before others have their turn: a few ms. */
const MADE_PER_TURN = 200;

/**
 * Makes all folders and files that are not there. Whatever is in the place of one and is something else, a
 * symbolic link above all, is refused: nothing outside `path` is ever made.
 * @throws ParleyError TARGET_EXISTS
 */
export async function makeAll(path: string, { entries }: FolderLayout): Promise<void> {
  let made = 0;
  for (const entry of entries) {
    const at = join(path, entry.path);
    if (entry.kind === 'folder') makeFolder(at);
    else makeFile(at, entry.sizeBytes, entry.kind === 'executable' ? 0o755 : 0o644);
    made += 1;
    if (made % MADE_PER_TURN === 0) await setImmediate();
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    if (!lstatSync(path).isDirectory()) throw new ParleyError('TARGET_EXISTS', { path }, { cause: error });
  }
}

function makeFile(path: string, sizeBytes: number, mode: number): void {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | noFollow(), mode));
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    const stats = lstatSync(path);
    // A second name for it would be written to as well.
    if (!stats.isFile() || stats.nlink !== 1) throw new ParleyError('TARGET_EXISTS', { path }, { cause: error });
    if (stats.size > sizeBytes) truncateSync(path, sizeBytes);
  }
}
