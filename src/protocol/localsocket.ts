/** Where a process listens for others of the same user on this machine: only the path is worked out here, nothing is opened. */
import { createHash } from 'node:crypto';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { ParleyError } from './errors.js';

/** Bytes of a socket's path: macOS takes 103, Linux 107. */
const MAX_SOCKET_PATH_BYTES = 100;

/**
 * A socket named `file` in `folder`; where that path would be too long, one with a hashed name in a folder of this user under the
 * runtime (else the temporary) directory; on Windows a named pipe.
 */
export function localSocketPath(folder: string, file: string): string {
  const inFolder = join(resolve(folder), file);
  const name = createHash('sha256').update(inFolder).digest('hex').slice(0, 32);
  if (process.platform === 'win32') return `\\\\.\\pipe\\parley-${name}`;
  if (Buffer.byteLength(inFolder) <= MAX_SOCKET_PATH_BYTES) return inFolder;
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const base = runtime !== undefined && runtime.startsWith('/') ? runtime : tmpdir();
  return join(base, `parley-${userInfo().uid}`, `${name}.sock`);
}

/** What `lstat` tells of a folder, as far as it matters here. */
interface FolderStats {
  readonly uid: number;
  readonly mode: number;
  isDirectory(): boolean;
}

/**
 * Makes sure that nobody else can put a socket into the folder: secrets may go through it.
 * @throws ParleyError STATE_DAMAGED when it is no folder, belongs to somebody else or lets others in; `option` names another one
 */
export function checkSocketFolder(path: string, stats: FolderStats, option: string): void {
  const refuse = (reason: string, next: string): never => {
    throw new ParleyError('STATE_DAMAGED', { path, reason, next });
  };
  if (!stats.isDirectory()) refuse('it is no folder', 'move it away');
  if (stats.uid !== process.getuid?.())
    refuse('it belongs to another user', `use a folder of your own, with ${option}`);
  if ((stats.mode & 0o022) !== 0) refuse('others may write to it', `make it yours alone with chmod 700 ${path}`);
}
