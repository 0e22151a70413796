/** Answers the operator of the server. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../protocol/clock.js';
import type { CommandSpec, Handlers, IncomingCall, ResultIn } from '../../protocol/command.js';
import { adminCommands } from '../../protocol/commands/admin.js';
import { Connection } from '../../protocol/connection.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import { makeHello } from '../../protocol/hello.js';
import { sortedByName, knownUser } from '../handlers/handler.js';
import type { Log } from '../log.js';
import type { Server } from '../server.js';
import type { Session } from '../session.js';

export interface AdminParts {
  readonly server: Pick<Server, 'core' | 'address' | 'connections'>;
  readonly version: string;
  /** Epoch milliseconds, and the same moment on the monotonic clock. */
  readonly startedAt: number;
  readonly startedMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

type AnyHandler = (params: unknown, parts: AdminParts, call: IncomingCall) => Promise<object>;

/** Serves one operator's connection until it ends. */
export function serveOperator(duplex: Duplex, parts: AdminParts): Connection {
  const connection = new Connection(duplex, {
    hello: makeHello('server'),
    end: 'listener',
    clock: parts.clock,
    checkHello: ({ role }) => {
      if (role === 'operator') return;
      throw new ParleyError('PROTOCOL_ERROR', { reason: `a ${role} came where the operator is met` });
    },
  });
  connection.serve(adminCommands, (spec, params, call) => answer(spec, params, parts, call));
  return connection;
}

async function answer(spec: CommandSpec, params: unknown, parts: AdminParts, call: IncomingCall): Promise<object> {
  const handle = handlers[spec.name as keyof typeof handlers] as AnyHandler;
  try {
    return await handle(params, parts, call);
  } catch (thrown) {
    const { code, message: reason } = toParleyError(thrown);
    parts.log.warn({ command: spec.name, code, reason }, 'an operator’s command failed');
    throw thrown;
  }
}

const handlers: Handlers<typeof adminCommands, AdminParts> = {
  status: async (_params, parts) => {
    const { server, clock } = parts;
    const { presence, storage } = server.core.services;
    const { users, files } = await storage.countAll();
    const waiting = await storage.countUndelivered();
    const sessions = sortedByName(presence.sessions(), ({ user }) => user.name);
    return {
      version: parts.version,
      address: server.address,
      pid: process.pid,
      startedAt: new Date(parts.startedAt).toISOString(),
      uptimeSeconds: Math.floor((clock.monotonicMs() - parts.startedMs) / 1000),
      connections: server.connections(),
      online: sessions.length,
      users,
      files,
      waiting,
      sessions: sessions.map((session) => rowOf(session, parts)),
    };
  },

  kick: async ({ user: name }, { server: { core }, log }) => {
    const { id, name: user } = await knownUser(core.services.storage, name);
    if (!(await core.sessions.kick(id))) throw new ParleyError('USER_OFFLINE', { user });
    log.info({ user }, 'kicked by the operator');
    return { user };
  },

  unlock: async ({ user: name }, { server: { core }, log }) => {
    const { name: user } = await knownUser(core.services.storage, name);
    const wasLocked = core.services.lockout.unlock(user);
    log.info({ user, wasLocked }, 'unlocked by the operator');
    return { user, wasLocked };
  },
};

type Row = ResultIn<typeof adminCommands.status>['sessions'][number];

function rowOf({ user, origin, since, lastActiveMs, focus }: Session, { server, clock }: AdminParts): Row {
  return {
    user: user.name,
    address: origin.address,
    since: new Date(since).toISOString(),
    idleSeconds: Math.max(0, Math.floor((clock.monotonicMs() - lastActiveMs) / 1000)),
    ...(focus === undefined ? {} : { group: focus.group.name }),
    held: server.core.services.registry.heldBy(user.id),
  };
}
