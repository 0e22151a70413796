/** An agent that a test scripts: it listens on the control socket of a home and answers every command a face can call. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controlSocketPath } from '../../../src/client/agent/socketpath.js';
import { typedCommands } from '../../../src/client/catalog.js';
import { Connection } from '../../../src/protocol/connection.js';
import type { IncomingCall } from '../../../src/protocol/command.js';
import { ParleyError } from '../../../src/protocol/errors.js';
import { makeHello } from '../../../src/protocol/hello.js';

type Params = Readonly<Record<string, unknown>>;
export type FakeHandler = (params: Params, call: IncomingCall) => object | Promise<object>;

export interface FakeAgent {
  readonly home: string;
  /** Every call so far, in order. */
  readonly calls: { command: string; params: Params }[];
  readonly handlers: Record<string, FakeHandler>;
  readonly faces: Set<Connection>;
  /** Resolves with the next call of this command that is not answered yet. */
  nextCall(command: string): Promise<Params>;
  close(): Promise<void>;
}

const HAPPY: Record<string, FakeHandler> = {
  status: () => ({
    user: 'alice',
    server: '127.0.0.1:8100',
    online: true,
    listen: '0.0.0.0:4000',
    held: [],
    transfers: [],
  }),
  whoelse: () => ({ users: ['bob', 'carol'] }),
  inbox: () => ({ messages: [] }),
  listen: (_, call) =>
    new Promise((resolve) => call.signal.addEventListener('abort', () => resolve({}), { once: true })),
};

export async function startFakeAgent(handlers: Record<string, FakeHandler> = {}): Promise<FakeAgent> {
  const home = await mkdtemp(join(tmpdir(), 'parley-face-'));
  const path = controlSocketPath(home);
  const faces = new Set<Connection>();
  const waiters: { command: string; resolve: (params: Params) => void }[] = [];
  const agent = {
    home,
    calls: [] as { command: string; params: Params }[],
    handlers: { ...HAPPY, ...handlers },
    faces,
  };
  const server = createServer((socket) => {
    const connection = new Connection(socket, { hello: makeHello('agent'), end: 'listener' });
    faces.add(connection);
    void connection.closed.then(() => faces.delete(connection));
    connection.serve(Object.fromEntries(typedCommands.map((spec) => [spec.name, spec])), async (spec, params, call) => {
      agent.calls.push({ command: spec.name, params: params as Params });
      const handler = agent.handlers[spec.name];
      const waiting = waiters.findIndex(({ command }) => command === spec.name);
      if (waiting >= 0) waiters.splice(waiting, 1)[0]?.resolve(params as Params);
      if (handler === undefined) throw new ParleyError('INTERNAL', { reason: `${spec.name} is not scripted` });
      return handler(params as Params, call);
    });
  });
  await mkdir(home, { recursive: true });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    ...agent,
    nextCall: (command) => new Promise((resolve) => waiters.push({ command, resolve })),
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.all([...faces].map((face) => face.close()));
      await closed;
      await rm(home, { recursive: true, force: true });
    },
  };
}
