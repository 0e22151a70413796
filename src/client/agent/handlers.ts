/** The shape of what the agent answers its faces. */
import type { Handlers, IncomingCall } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import type { Connection } from '../../protocol/connection.js';

/** What a handler of one call knows besides its parameters. */
export interface FaceCall {
  readonly face: Connection;
}
export type AgentHandlers = Handlers<typeof agentCommands, FaceCall>;
/** A part of them, by the names it takes. */
export type HandlersOf<Names extends keyof AgentHandlers> = Pick<AgentHandlers, Names>;

/** Runs a task when the reply to a call has been handed to the connection, or will never be. */
export function afterReply(call: IncomingCall, task: () => void): void {
  if (call.signal.aborted) task();
  else call.signal.addEventListener('abort', task, { once: true });
}
