/** Where in a data directory the operator's socket is: there itself, or as a link to where its path is short enough. */
import { join, resolve } from 'node:path';
import { localSocketPath } from '../../protocol/localsocket.js';

const SOCKET_FILE = 'admin.sock';

export interface SocketPlace {
  /** What is listened on. */
  readonly path: string;
  /** A link to it in the data directory; undefined when it is there itself, and where there are no links (Windows). */
  readonly link: string | undefined;
}

/** Where a server with this data directory listens. Who looks for it does not work it out again: the environment may differ. */
export function socketPlace(dataDir: string): SocketPlace {
  const path = localSocketPath(dataDir, SOCKET_FILE);
  const inFolder = join(resolve(dataDir), SOCKET_FILE);
  return { path, link: process.platform === 'win32' || path === inFolder ? undefined : inFolder };
}
