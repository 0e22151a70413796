/** The operator's way to a running server: its socket in the data directory. */
import { readlink } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Connection } from '../../protocol/connection.js';
import { ParleyError } from '../../protocol/errors.js';
import { makeHello } from '../../protocol/hello.js';
import { socketPlace } from './place.js';

/** A connection to the server that runs on this data directory. @throws ParleyError SERVER_UNREACHABLE, naming the directory */
export async function dialAdmin(dataDir: string): Promise<Connection> {
  const socket = await openSocket(dataDir, await whereIs(dataDir));
  const connection = new Connection(socket, {
    hello: makeHello('operator'),
    end: 'dialer',
    checkHello: ({ role }) => {
      if (role !== 'server') throw new ParleyError('PROTOCOL_ERROR', { reason: `it is a ${role}, not a server` });
    },
    lost: (reason) => unreachable(dataDir, reason),
  });
  await connection.ready;
  return connection;
}

async function whereIs(dataDir: string): Promise<string> {
  const { path, link } = socketPlace(dataDir);
  if (link === undefined) return path;
  try {
    return await readlink(link);
  } catch (cause) {
    throw notRunning(dataDir, cause);
  }
}

function openSocket(dataDir: string, path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error').on('error', () => undefined);
      resolve(socket);
    });
    socket.once('error', (cause: NodeJS.ErrnoException) => reject(notRunning(dataDir, cause)));
  });
}

function notRunning(dataDir: string, cause: unknown): ParleyError {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'EACCES' || code === 'EPERM') {
    return unreachable(dataDir, 'it belongs to another user; run this as the one who runs the server', cause);
  }
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') {
    return unreachable(dataDir, 'no server is running on it; start one, or name its directory with --data', cause);
  }
  return unreachable(dataDir, (cause as Error).message, cause);
}

function unreachable(dataDir: string, reason: string, cause?: unknown): ParleyError {
  return new ParleyError('SERVER_UNREACHABLE', { server: `the data directory ${dataDir}`, reason }, { cause });
}
