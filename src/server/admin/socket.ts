/** The socket on which a server meets its operator: in the data directory, for the server's own user (and root) alone. */
import { lstatSync } from 'node:fs';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server as NetServer, Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Connection } from '../../protocol/connection.js';
import { ParleyError } from '../../protocol/errors.js';
import { checkSocketFolder } from '../../protocol/localsocket.js';
import { MAX_OPERATORS } from '../limits.js';
import { socketPlace } from './place.js';
import type { SocketPlace } from './place.js';
import { serveOperator } from './serve.js';
import type { AdminParts } from './serve.js';

const OTHERS_MAY_NOT = 0o177;

export interface AdminSocket {
  readonly path: string;
  /** Takes no more operators, ends those that are there, and removes the socket. Idempotent. */
  close(): Promise<void>;
}

/**
 * Listens for operators. The caller has the data directory to itself: what lies there is of a server that is gone.
 * @throws ParleyError STATE_DAMAGED when the socket cannot be made
 */
export async function openAdminSocket(dataDir: string, parts: AdminParts): Promise<AdminSocket> {
  const place = socketPlace(dataDir);
  const operators = new Set<Connection>();
  const server = createServer((socket) => admit(socket, operators, parts));
  try {
    await bind(server, place);
  } catch (cause) {
    if (cause instanceof ParleyError) throw cause;
    const reason = cause instanceof Error ? cause.message : 'it failed';
    throw new ParleyError('STATE_DAMAGED', { path: place.path, reason, next: 'mend that' }, { cause });
  }
  server.on('error', (error) => parts.log.warn({ err: error }, 'an operator could not be let in'));
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    server.close(); // It unlinks the socket.
    await Promise.all([closed, ...[...operators].map((connection) => connection.close())]);
    if (place.link !== undefined) await rm(place.link, { force: true });
  };
  return { path: place.path, close: () => (closing ??= close()) };
}

async function bind(server: NetServer, { path, link }: SocketPlace): Promise<void> {
  if (process.platform === 'win32') {
    await listen(server, path);
    return;
  }
  if (link !== undefined) {
    const folder = dirname(path);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    checkSocketFolder(folder, lstatSync(folder), '--data');
    await rm(link, { force: true });
  }
  await rm(path, { force: true });
  await listen(server, path);
  if (link !== undefined) await symlink(path, link);
}

/** The data directory may be open to others, the socket never is: binding, which happens at once, makes it so. */
async function listen(server: NetServer, path: string): Promise<void> {
  const before = process.umask(OTHERS_MAY_NOT);
  try {
    const listening = new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    });
    process.umask(before);
    await listening;
  } finally {
    process.umask(before);
  }
}

function admit(socket: Socket, operators: Set<Connection>, parts: AdminParts): void {
  socket.on('error', () => undefined);
  if (operators.size >= MAX_OPERATORS) {
    socket.destroy();
    return;
  }
  const connection = serveOperator(socket, parts);
  operators.add(connection);
  void connection.closed.then(() => operators.delete(connection));
}
