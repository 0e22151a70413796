/** Where an agent listens for its faces. Faces load this file too and must start fast: nothing heavy is imported here. */
import { createHash } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { ParleyError } from '../../protocol/errors.js';

/** Bytes of a socket's path: macOS takes 103, Linux 107. */
const MAX_SOCKET_PATH_BYTES = 100;
const SOCKET_FILE = 'agent.sock';

/**
 * The control socket of the agent that owns `home`: a socket in it; where that path would be too long, one with a hashed name in
 * a folder of this user under the runtime (else the temporary) directory; on Windows a named pipe.
 */
export function controlSocketPath(home: string): string {
  const absolute = resolve(home);
  const name = createHash('sha256').update(absolute).digest('hex').slice(0, 32);
  if (process.platform === 'win32') return `\\\\.\\pipe\\parley-${name}`;
  const inHome = join(absolute, SOCKET_FILE);
  if (Buffer.byteLength(inHome) <= MAX_SOCKET_PATH_BYTES) return inHome;
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const base = runtime !== undefined && runtime.startsWith('/') ? runtime : tmpdir();
  return join(base, `parley-${userInfo().uid}`, `${name}.sock`);
}

/**
 * Makes sure that nobody else can have put a socket where this user's agent should be: passwords go through it. False when its
 * folder is not there yet.
 * @throws ParleyError STATE_DAMAGED when the folder belongs to somebody else or lets others in
 */
export function isSocketFolderSafe(socketPath: string): boolean {
  if (process.platform === 'win32') return true;
  const path = dirname(socketPath);
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return false;
  const refuse = (reason: string, next: string): never => {
    throw new ParleyError('STATE_DAMAGED', { path, reason, next });
  };
  const uid = process.getuid?.();
  if (!stats.isDirectory()) refuse('it is no folder', 'move it away');
  if (stats.uid !== uid) refuse('it belongs to another user', 'use a folder of your own, with --home');
  if ((stats.mode & 0o022) !== 0) refuse('others may write to it', `make it yours alone with chmod 700 ${path}`);
  return true;
}
