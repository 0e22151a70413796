/** Making many files safe at once. */
import { execFile } from 'node:child_process';
import { release } from 'node:os';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The first Linux of which syncing a file system says that something could not be written. */
const FIRST_THAT_TELLS = [5, 8] as const;

/**
 * Makes everything in the file system of `path` safe, names and bytes, in one go: syncfs(2), which Node has not, by the command that has.
 * Returns false where that cannot be, or failed: nothing is known to be safe then.
 */
export async function syncFileSystemOf(path: string): Promise<boolean> {
  if (!canTell()) return false;
  try {
    await run('sync', ['-f', path]);
    return true;
  } catch {
    return false;
  }
}

function canTell(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const [firstMajor, firstMinor] = FIRST_THAT_TELLS;
  return process.platform === 'linux' && (major > firstMajor || (major === firstMajor && minor >= firstMinor));
}
