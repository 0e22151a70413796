/** Giving a finished file its name, for good: never over another file unless told to. */
import { link, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ParleyError } from '../protocol/errors.js';
import { errnoOf } from './fserrors.js';

/** What a file system without hard links answers. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL']);
/** What a folder that cannot be synced on its own answers (Windows, some network file systems). */
const NO_FOLDER_SYNC = new Set(['EPERM', 'EISDIR', 'EINVAL', 'ENOTSUP', 'EACCES']);

/**
 * Renames `from` to `to` in the same folder, so that it stays so after a crash.
 * @throws ParleyError TARGET_EXISTS; what the file system refuses as it comes
 */
export async function publish(from: string, to: string, overwrite: boolean): Promise<void> {
  try {
    if (overwrite) await rename(from, to);
    else await renameToFree(from, to);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EEXIST' || errno === 'EISDIR' || errno === 'ENOTEMPTY') {
      throw new ParleyError('TARGET_EXISTS', { path: to }, { cause: error });
    }
    throw error;
  }
  await syncFolder(dirname(to));
}

/** Makes new and removed names in a folder safe. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    await folder.sync().finally(() => folder.close());
  } catch (error) {
    if (!NO_FOLDER_SYNC.has(errnoOf(error) ?? '')) throw error;
  }
}

// rename(2) replaces silently; a second name for the same file does not.
async function renameToFree(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!NO_LINKS.has(errnoOf(error) ?? '')) throw error;
    const placeholder = await open(to, 'wx');
    await placeholder.close();
    await rename(from, to);
    return;
  }
  await unlink(from);
}
