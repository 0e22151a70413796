/** The local socket on which the agent meets its faces; holding it is what makes this process the one agent of a home. */
import { chmod, mkdir, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../protocol/clock.js';
import { Connection } from '../../protocol/connection.js';
import { ParleyError } from '../../protocol/errors.js';
import { makeHello } from '../../protocol/hello.js';
import { lockHolder, takeLock } from '../../chunks/lock.js';
import type { FileLock } from '../../chunks/lock.js';
import { errnoOf } from '../../chunks/fserrors.js';
import { controlSocketPath, isSocketFolderSafe } from './socketpath.js';

/** Faces at once: shells and scripts of one person; beyond it a newcomer is turned away. */
const MAX_FACES = 64;
const LOCK_FILE = 'agent.lock';
/** How long an agent waits for one that is ending (goodbyes to peers and server, on a busy machine), and how often it looks. */
const LOCK_WAIT_MS = 15_000;
const LOCK_POLL_MS = 50;

export interface ControlOptions {
  readonly home: string;
  readonly clock: Clock;
  /** Faces that come before it resolves wait, unread: a call must not be answered before it is served. */
  readonly ready: Promise<unknown>;
  /** Sets up what is served to a face before it may call. */
  readonly onFace: (connection: Connection) => void;
}

export interface Control {
  readonly path: string;
  /** Faces that are connected. */
  readonly faces: number;
  /** Takes no more faces: whoever comes now finds no agent. Idempotent. */
  stopListening(): void;
  /** Takes no more faces, tells those connected why when there is a reason, and waits until they are gone. Idempotent. */
  close(reason?: ParleyError): Promise<void>;
}

/** The process of the agent that has this home. */
export function agentPid(home: string): Promise<number | undefined> {
  return lockHolder(join(home, LOCK_FILE));
}

/** @throws ParleyError AGENT_RUNNING when another agent has this home; STATE_DAMAGED when the socket cannot be made */
export async function startControl(options: ControlOptions): Promise<Control> {
  const path = controlSocketPath(options.home);
  await mkdir(options.home, { recursive: true, mode: 0o700 });
  await chmod(options.home, 0o700);
  const lock = await lockHome(options.home, path);
  const faces = new Set<Connection>();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    options.ready.then(
      () => admit(socket, faces, options),
      () => socket.destroy(),
    );
  });
  try {
    await listen(server, path, options.home);
  } catch (error) {
    await lock.release();
    throw error;
  }
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  const stopListening = (): void => {
    if (server.listening) server.close();
  };
  let closing: Promise<void> | undefined;
  return {
    path,
    get faces() {
      return faces.size;
    },
    stopListening,
    close: (reason) => {
      stopListening();
      closing ??= Promise.all([closed, ...[...faces].map((face) => face.close(reason))]).then(() => lock.release());
      return closing;
    },
  };
}

/** Of agents that race for a home, the one with the lock goes on: only it may clear away what a dead one left. */
async function lockHome(home: string, path: string): Promise<FileLock> {
  for (let waitedMs = 0; ; waitedMs += LOCK_POLL_MS) {
    try {
      return await takeLock(join(home, LOCK_FILE), home);
    } catch (cause) {
      if (!(cause instanceof ParleyError) || cause.code !== 'TARGET_BUSY') throw damaged(home, cause);
      // Its holder may be ending just now: then it listens no more, and is gone soon.
      if (waitedMs >= LOCK_WAIT_MS || (await answers(path))) throw running(home, cause);
      await sleep(LOCK_POLL_MS);
    }
  }
}

/** Whether somebody listens on the socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    const done = (found: boolean): void => {
      probe.destroy();
      resolve(found);
    };
    probe.once('connect', () => done(true));
    probe.once('error', () => done(false));
  });
}

async function listen(server: Server, path: string, home: string): Promise<void> {
  try {
    if (process.platform !== 'win32') {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      isSocketFolderSafe(path);
      await unlink(path).catch(absent);
    }
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    // Nobody else gets into its folder meanwhile.
    if (process.platform !== 'win32') await chmod(path, 0o600);
  } catch (cause) {
    if (errnoOf(cause) === 'EADDRINUSE') throw running(home, cause);
    throw cause instanceof ParleyError ? cause : damaged(path, cause);
  }
}

function running(home: string, cause: unknown): ParleyError {
  return new ParleyError('AGENT_RUNNING', { home }, { cause });
}

function damaged(path: string, cause: unknown): ParleyError {
  const reason = cause instanceof Error ? cause.message : 'it failed';
  const next = 'mend that, or choose another folder with --home';
  return new ParleyError('STATE_DAMAGED', { path, reason, next }, { cause });
}

function absent(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error;
}

function admit(socket: Socket, faces: Set<Connection>, { clock, onFace }: ControlOptions): void {
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
