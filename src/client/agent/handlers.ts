/** What the agent answers its faces. */
import { randomBytes } from 'node:crypto';
import type { CommandSpec, Handlers, IncomingCall } from '../../protocol/command.js';
import { agentCommands } from '../../protocol/commands/agent.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { Connection } from '../../protocol/connection.js';
import type { AgentParts } from './parts.js';

/** What a handler of one call knows besides its parameters. */
export interface FaceCall {
  readonly face: Connection;
}
export type AgentHandlers = Handlers<typeof agentCommands, FaceCall>;
/** A part of them, by the names it takes. */
export type HandlersOf<Names extends keyof AgentHandlers> = Pick<AgentHandlers, Names>;

type AnyHandler = (params: unknown, context: FaceCall, call: IncomingCall) => Promise<object> | object;

/** Agent's own commands, and those of the server that a person can type. */
export function servedSpecs(): Readonly<Record<string, CommandSpec>> {
  const typed = Object.entries<CommandSpec>(serverCommands).filter(([, spec]) => spec.cli !== undefined);
  return { ...Object.fromEntries(typed), ...agentCommands };
}

/** These change or reveal nothing that the user did. */
const NO_ACTIVITY: ReadonlySet<string> = new Set(['login', 'logout', 'listen']);

/** Serves one face. */
export function serveFace(face: Connection, handlers: AgentHandlers, parts: AgentParts): void {
  const own = handlers as unknown as Readonly<Record<string, AnyHandler>>;
  const answer = async (spec: CommandSpec, params: unknown, call: IncomingCall): Promise<object> => {
    if (spec.place === 'server') return forward(spec, params, call, parts);
    const handler = own[spec.name];
    if (handler === undefined) throw new Error(`no handler for ${spec.name}`);
    if (!NO_ACTIVITY.has(spec.name)) parts.renewal.touch();
    return handler(params, { face }, call);
  };
  face.serve(servedSpecs(), (spec, params, call) => {
    const answered = answer(spec, params, call).finally(() => parts.calls.delete(answered));
    parts.calls.add(answered);
    return answered;
  });
}

/** Hands a command on to the server. A message gets its id here, so that sending it again is harmless. */
async function forward(spec: CommandSpec, params: unknown, call: IncomingCall, parts: AgentParts): Promise<object> {
  const { session } = parts;
  const options = { signal: call.signal };
  if (spec.name === 'message' || spec.name === 'broadcast') {
    const id = randomBytes(16).toString('hex');
    return (await session.callAgain(spec, { id, ...(params as object) }, options)) as object;
  }
  const result = (await session.call(spec, params, options)) as object;
  await parts.afterForward(spec.name, result);
  return result;
}

/** Runs a task when the reply to a call has been handed to the connection, or will never be. */
export function afterReply(call: IncomingCall, task: () => void): void {
  if (call.signal.aborted) task();
  else call.signal.addEventListener('abort', task, { once: true });
}
