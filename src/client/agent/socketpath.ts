/** Where an agent listens for its faces. Faces load this file too and must start fast: nothing heavy is imported here. */
import { lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { checkSocketFolder, localSocketPath } from '../../protocol/localsocket.js';

const SOCKET_FILE = 'agent.sock';

/** The control socket of the agent that owns `home`. */
export function controlSocketPath(home: string): string {
  return localSocketPath(home, SOCKET_FILE);
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
  checkSocketFolder(path, stats, '--home');
  return true;
}
