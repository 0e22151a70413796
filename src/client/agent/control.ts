/** The local socket on which the agent meets its faces; holding it is what makes this process the one agent of a home. */
import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { Clock } from '../../protocol/clock.js';
import { Connection } from '../../protocol/connection.js';
import { ParleyError } from '../../protocol/errors.js';
import { makeHello } from '../../protocol/hello.js';
import type { Log } from './log.js';
import { controlSocketPath, isSocketFolderSafe } from './socketpath.js';

/** Faces at once: shells and scripts of one person; beyond it a newcomer is turned away. */
const MAX_FACES = 64;

export interface ControlOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Sets up what is served to a face before it may call. */
  readonly onFace: (connection: Connection) => void;
}

export interface Control {
  readonly path: string;
  /** Faces that are connected. */
  readonly faces: number;
  /** Takes no more faces, tells those connected why when there is a reason, and waits until they are gone. Idempotent. */
  close(reason?: ParleyError): Promise<void>;
}

/** @throws ParleyError AGENT_RUNNING when another agent has this home; STATE_DAMAGED when the socket cannot be made */
export async function startControl(options: ControlOptions): Promise<Control> {
  const path = controlSocketPath(options.home);
  if (process.platform !== 'win32') {
    await mkdir(options.home, { recursive: true, mode: 0o700 });
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    isSocketFolderSafe(path);
  }
  const faces = new Set<Connection>();
  const server = createServer((socket) => admit(socket, faces, options));
  await listen(server, path, options.home);
  let closing: Promise<void> | undefined;
  return {
    path,
    get faces() {
      return faces.size;
    },
    close: (reason) => {
      closing ??= closeAll(server, faces, reason);
      return closing;
    },
  };
}

function admit(socket: Socket, faces: Set<Connection>, { clock, onFace }: ControlOptions): void {
  socket.on('error', () => undefined);
  if (faces.size >= MAX_FACES) {
    socket.destroy();
    return;
  }
  const connection = new Connection(socket, {
    hello: makeHello('agent'),
    end: 'listener',
    clock,
    checkHello: ({ role }) => {
      if (role !== 'face') throw new ParleyError('PROTOCOL_ERROR', { reason: `a ${role} came where faces are met` });
    },
  });
  faces.add(connection);
  void connection.closed.then(() => faces.delete(connection));
  onFace(connection);
}

async function closeAll(server: Server, faces: Set<Connection>, reason: ParleyError | undefined): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await Promise.all([...faces].map((face) => face.close(reason)));
  await closed;
}
