/** Answers faces: with the agent's own handlers, and by handing commands on to the server. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { CommandSpec, IncomingCall } from '../../protocol/command.js';
import { agentCommands } from '../../protocol/commands/agent.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { Connection } from '../../protocol/connection.js';
import type { AgentHandlers, FaceCall } from './handlers.js';
import type { AgentParts } from './parts.js';

type AnyHandler = (params: unknown, context: FaceCall, call: IncomingCall) => Promise<object> | object;

/** These show nothing that the user did. */
const NO_ACTIVITY: ReadonlySet<string> = new Set(['login', 'logout', 'listen']);

const named = z.object({ user: z.string() });
const filed = z.object({ file: z.string() });

export class FaceServer {
  readonly #parts: AgentParts;
  readonly #handlers: Readonly<Record<string, AnyHandler>>;
  readonly #specs = servedSpecs();
  /** Calls that are being answered. */
  readonly #calls = new Set<Promise<unknown>>();

  constructor(parts: AgentParts, handlers: AgentHandlers) {
    this.#parts = parts;
    // Each gets the parameters of its own spec, which `serve` has checked.
    this.#handlers = handlers as unknown as Readonly<Record<string, AnyHandler>>;
  }

  serve(face: Connection): void {
    face.serve(this.#specs, (spec, params, call) => {
      const answered = this.#answer(face, spec, params, call).finally(() => this.#calls.delete(answered));
      this.#calls.add(answered);
      return answered;
    });
  }

  /** Resolves when the calls of now are answered. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#calls);
    await new Promise(setImmediate); // Replies are sent when their handlers have returned.
  }

  async #answer(face: Connection, spec: CommandSpec, params: unknown, call: IncomingCall): Promise<object> {
    if (spec.place === 'server') return this.#forward(spec, params, call);
    const handler = this.#handlers[spec.name];
    if (handler === undefined) throw new Error(`nothing answers ${spec.name}`);
    if (!NO_ACTIVITY.has(spec.name)) this.#parts.renewal.touch();
    return handler(params, { face }, call);
  }

  /** Hands a command on to the server. A message gets its id here, so that sending it again is harmless. */
  async #forward(spec: CommandSpec, params: unknown, { signal }: IncomingCall): Promise<object> {
    const { session } = this.#parts;
    if (spec.name === 'message' || spec.name === 'broadcast') {
      const id = randomBytes(16).toString('hex');
      return (await session.callAgain(spec, { id, ...(params as object) }, { signal })) as object;
    }
    const result = (await session.call(spec, params, { signal })) as object;
    await this.#follow(spec.name, result);
    return result;
  }

  /** What some commands of the server mean for this agent. */
  async #follow(command: string, result: object): Promise<void> {
    const { peers, library } = this.#parts;
    if (command === 'block') peers.block(named.parse(result).user);
    else if (command === 'unblock') peers.unblock(named.parse(result).user);
    else if (command === 'unregister') await library.removeFile(filed.parse(result).file);
  }
}

/** The agent's own commands, and those of the server that a person can type. */
function servedSpecs(): Readonly<Record<string, CommandSpec>> {
  const typed = Object.entries<CommandSpec>(serverCommands).filter(([, spec]) => spec.cli !== undefined);
  return { ...Object.fromEntries(typed), ...agentCommands };
}
