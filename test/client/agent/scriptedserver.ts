/** A server of a few lines that does what a test tells it to: for what a good server never does, or not when asked. */
import { constants } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import type { Server, TLSSocket } from 'node:tls';
import { makeIdentity } from '../../../src/protocol/certificate.js';
import type { Identity } from '../../../src/protocol/certificate.js';
import { serverCommands } from '../../../src/protocol/commands/server.js';
import { Connection } from '../../../src/protocol/connection.js';
import { ParleyError } from '../../../src/protocol/errors.js';
import { makeHello } from '../../../src/protocol/hello.js';

export type Reply = object | ((params: never, connection: Connection) => Promise<object> | object);
/** What is answered to which command; a ParleyError is thrown. */
export type Script = Partial<Record<keyof typeof serverCommands, Reply | ParleyError>>;

export class ScriptedServer {
  script: Script;
  /** Every call so far. */
  readonly calls: { command: string; params: unknown }[] = [];
  readonly connections = new Set<Connection>();
  identity: Identity;
  #server: Server | undefined;
  #port = 0;
  #waiters: { command: string; count: number; resolve: () => void }[] = [];

  private constructor(identity: Identity, script: Script) {
    this.identity = identity;
    this.script = script;
  }

  static async start(script: Script = {}): Promise<ScriptedServer> {
    const server = new ScriptedServer(await makeIdentity('test'), script);
    await server.listen();
    return server;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get connection(): Connection {
    const [connection] = this.connections;
    if (connection === undefined) throw new Error('nobody is connected');
    return connection;
  }

  /** Listens, on the port it had before. */
  async listen(): Promise<void> {
    const server = createServer(
      {
        key: this.identity.privateKeyPem,
        cert: this.identity.certificatePem,
        requestCert: true,
        rejectUnauthorized: false,
        minVersion: 'TLSv1.3',
        secureOptions: constants.SSL_OP_NO_TICKET,
      },
      (socket) => this.#accept(socket),
    );
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Breaks every connection and listens no more. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
    for (const connection of this.connections) connection.destroy();
    await closed;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.listen();
  }

  /** Resolves when a command was called so often. */
  async called(command: string, count = 1): Promise<void> {
    if (this.calls.filter((call) => call.command === command).length >= count) return;
    await new Promise<void>((resolve) => this.#waiters.push({ command, count, resolve }));
  }

  #accept(socket: TLSSocket): void {
    socket.on('error', () => undefined);
    const connection = new Connection(socket, { hello: makeHello('server'), end: 'listener' });
    this.connections.add(connection);
    void connection.closed.then(() => this.connections.delete(connection));
    connection.serve(serverCommands, async (spec, params) => {
      this.calls.push({ command: spec.name, params });
      const reply = this.script[spec.name as keyof Script] ?? {};
      for (const waiter of this.#waiters) {
        const count = this.calls.filter((call) => call.command === waiter.command).length;
        if (count >= waiter.count) waiter.resolve();
      }
      if (reply instanceof ParleyError) throw reply;
      return typeof reply === 'function' ? ((await reply(params as never, connection)) as object) : reply;
    });
  }
}

/** What a login or resume is answered with. */
export function sessionStart(user = 'alice', more: object = {}): object {
  return {
    user,
    token: 'token-1',
    leaseSeconds: 60,
    timeoutSeconds: 600,
    acknowledged: 0,
    unread: 0,
    blocked: [],
    ...more,
  };
}

export function pushed(position: number, text = `message ${position}`): object {
  const id = position.toString(16).padStart(32, '0');
  return { type: 'message', position, id, from: 'bob', to: 'alice', text, at: '2030-01-01T00:00:00.000Z' };
}
