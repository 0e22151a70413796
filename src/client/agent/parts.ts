/** What the agent consists of, as its handlers see it. */
import type { ParamsOf } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import type { Clock } from '../../protocol/clock.js';
import type { FaceEvents } from './faceevents.js';
import type { Log } from './log.js';
import type { PrivateLog } from './privatelog.js';
import type { Renewal } from './renewal.js';
import type { Session } from './session.js';

/** Who is logged in where. */
export interface Account {
  /** As registered at the server. */
  readonly user: string;
  /** `host:port`. */
  readonly server: string;
}

export type LoginRequest = ParamsOf<typeof agentCommands.login>;

export interface AgentParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly session: Session;
  readonly events: FaceEvents;
  readonly renewal: Renewal;
  readonly privateLog: PrivateLog;
  /** Calls of faces that are being answered. */
  readonly calls: Set<Promise<unknown>>;
  accountIfAny(): Account | undefined;
  /** @throws ParleyError LOGIN_REQUIRED */
  account(): Account;
  /** A command of the server was carried out for a face. */
  afterForward(command: string, result: object): Promise<void>;
}

/** By which things kept at home belong to an account. */
export function accountKey({ user, server }: Account): string {
  return `${user.toLowerCase()}@${server}`;
}
