/** Answers faces: with the agent's own handlers, and by handing commands on to the server. */
import type { CommandSpec, IncomingCall } from '../../protocol/command.js';
import { agentCommands } from '../../protocol/commands/agent.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { Connection } from '../../protocol/connection.js';
import { forward } from './forward.js';
import type { AgentHandlers, FaceCall } from './handlers.js';
import type { AgentParts } from './parts.js';

type AnyHandler = (params: unknown, context: FaceCall, call: IncomingCall) => Promise<object> | object;

/** These show nothing that the user did. */
const NO_ACTIVITY: ReadonlySet<string> = new Set(['login', 'logout', 'listen']);

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
    if (spec.place === 'server')
      return forward(spec, params as Readonly<Record<string, unknown>>, { parts: this.#parts, face, call });
    const handler = this.#handlers[spec.name];
    if (handler === undefined) throw new Error(`nothing answers ${spec.name}`);
    if (!NO_ACTIVITY.has(spec.name)) this.#parts.renewal.touch();
    return handler(params, { face }, call);
  }
}

/** The agent's own commands, and those of the server that a person can type. */
function servedSpecs(): Readonly<Record<string, CommandSpec>> {
  const typed = Object.entries<CommandSpec>(serverCommands).filter(([, spec]) => spec.cli !== undefined);
  return { ...Object.fromEntries(typed), ...agentCommands };
}
