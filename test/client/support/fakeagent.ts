/** An agent that a test scripts: it listens on the control socket of a home and answers every command a face can call. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controlSocketPath } from '../../../src/client/agent/socketpath.js';
import { typedCommands } from '../../../src/client/catalog.js';
import { Connection } from '../../../src/protocol/connection.js';
import type { IncomingCall } from '../../../src/protocol/command.js';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { ParleyError } from '../../../src/protocol/errors.js';
import { makeHello } from '../../../src/protocol/hello.js';

export type Params = Readonly<Record<string, unknown>>;
export type FakeHandler = (params: Params, call: IncomingCall) => object | Promise<object>;

/** Answers when the call is cancelled; `cancelled` tells. */
export function untilCancelled(call: IncomingCall): Promise<object> {
  return new Promise((_, reject) =>
    call.signal.addEventListener('abort', () => reject(new ParleyError('CANCELLED')), { once: true }),
  );
}

export class FakeAgent {
  readonly home: string;
  /** Every call so far, in order. */
  readonly calls: { readonly command: string; readonly params: Params; readonly call: IncomingCall }[] = [];
  readonly handlers: Record<string, FakeHandler> = {
    status: () => ({ user: 'alice', server: '127.0.0.1:8100', online: true, listen: null, held: [], transfers: [] }),
    whoelse: () => ({ users: ['bob', 'carol'] }),
    inbox: () => ({ messages: [] }),
    listen: (_, call) => untilCancelled(call),
  };
  readonly #faces = new Set<Connection>();
  readonly #server = createServer((socket) =>
    this.#meet(new Connection(socket, { hello: makeHello('agent'), end: 'listener' })),
  );
  #changed: () => void = () => undefined;

  private constructor(home: string) {
    this.home = home;
  }

  static async start(handlers: Record<string, FakeHandler> = {}): Promise<FakeAgent> {
    const agent = new FakeAgent(await mkdtemp(join(tmpdir(), 'parley-face-')));
    Object.assign(agent.handlers, handlers);
    await new Promise<void>((resolve) => agent.#server.listen(controlSocketPath(agent.home), resolve));
    return agent;
  }

  callsOf(command: string): Params[] {
    return this.calls.filter((each) => each.command === command).map(({ params }) => params);
  }

  /** Resolves with the `count`-th call of a command, once it has come. */
  async called(command: string, count = 1): Promise<{ params: Params; call: IncomingCall }> {
    while (true) {
      const found = this.calls.filter((each) => each.command === command)[count - 1];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
  }

  /** Tells every face that listens. */
  async tell(event: object): Promise<void> {
    const listening = this.calls.filter(({ command, call }) => command === 'listen' && !call.signal.aborted);
    await Promise.all(listening.map(({ call }) => call.emit(event)));
  }

  async message(from: string, text: string): Promise<void> {
    const id = Math.random().toString(16).slice(2).padEnd(32, '0').slice(0, 32);
    await this.tell({ type: 'message', id, from, to: 'alice', text, at: '2030-01-01T12:00:00.000Z' });
  }

  /** Ends every connection, with a reason or in good order. */
  async hangUp(reason?: ParleyError): Promise<void> {
    await Promise.all([...this.#faces].map((face) => face.close(reason)));
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await this.hangUp();
    await closed;
    await rm(this.home, { recursive: true, force: true });
  }

  #meet(face: Connection): void {
    this.#faces.add(face);
    void face.closed.then(() => this.#faces.delete(face));
    const specs = {
      ...Object.fromEntries(typedCommands.map((spec) => [spec.name, spec])),
      limits: agentCommands.limits,
    };
    face.serve(specs, async (spec, params, call) => {
      this.calls.push({ command: spec.name, params: params as Params, call });
      this.#changed();
      const handler = this.handlers[spec.name];
      if (handler === undefined) throw new ParleyError('INTERNAL', { reason: `${spec.name} is not scripted` });
      return handler(params as Params, call);
    });
  }
}
