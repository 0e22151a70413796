/** The local socket of an agent, seen from a face. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Connection } from '../protocol/connection.js';
import { ParleyError } from '../protocol/errors.js';
import { makeHello } from '../protocol/hello.js';
import { controlSocketPath, isSocketFolderSafe } from './agent/socketpath.js';

/** The agent that runs for this home; `undefined` when there is none. @throws ParleyError STATE_DAMAGED */
export async function dialAgent(home: string): Promise<Connection | undefined> {
  const path = controlSocketPath(home);
  if (!isSocketFolderSafe(path)) return undefined;
  const socket = await openSocket(path);
  if (socket === undefined) return undefined;
  return new Connection(socket, {
    hello: makeHello('face'),
    end: 'dialer',
    lost: (reason) => new ParleyError('AGENT_GONE', { reason }),
  });
}

function openSocket(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED') resolve(undefined);
      else
        reject(
          new ParleyError(
            'STATE_DAMAGED',
            { path, reason: cause.message, next: 'mend that, or use another --home' },
            { cause },
          ),
        );
    });
  });
}
