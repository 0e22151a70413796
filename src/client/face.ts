/** A face's way to its agent: finds the one that runs, starts one when there is none, logs in when that is needed. */
import type { ResultOf } from '../protocol/command.js';
import { pinnedEvent } from '../protocol/commands/agent/login.js';
import { agentCommands } from '../protocol/commands/agent.js';
import type { Connection } from '../protocol/connection.js';
import { ParleyError } from '../protocol/errors.js';
import { nameKey, printable } from '../protocol/values.js';
import type { FaceContext } from './context.js';
import { findCredentials } from './credentials.js';
import type { Credentials } from './credentials.js';
import { dialAgent } from './dial.js';
import { startAgent } from './launch.js';
import type { Settings } from './settings.js';
import { applyLimitFlags } from './uploadlimits.js';

/** How often a password may be typed. */
const PASSWORD_TRIES = 3;
/** How long an agent may take to end. */
const GOODBYE_MS = 2_000;

/** A connection to an agent that is logged in. */
export interface Face {
  readonly connection: Connection;
  /** As registered at the server; unknown when the agent was there and nothing had to be asked. */
  readonly user: string | undefined;
}
export type LoggedInFace = Face & { readonly user: string };

/**
 * A connection to an agent that is logged in as the settings say.
 * @throws ParleyError LOGIN_REQUIRED when there is nothing to log in with; ALREADY_LOGGED_IN when the agent is somebody else's, or at a
 *   server other than the one named; what login throws
 */
export async function openFace(context: FaceContext): Promise<Face> {
  const { settings, signal } = context;
  const connection = await dialAgent(settings.home);
  if (connection === undefined) return logIn(context);
  try {
    // The common case asks nothing: whether the agent is logged in shows with the command itself.
    if (settings.user === undefined && !settings.serverGiven) {
      await applyLimitFlags(connection, context);
      return { connection, user: undefined };
    }
    const status = await connection.call(agentCommands.status, {}, { signal });
    if (status.user !== null) {
      checkSame(status, settings);
      await applyLimitFlags(connection, context);
      return { connection, user: status.user };
    }
  } catch (thrown) {
    await connection.close();
    throw thrown;
  }
  await connection.close();
  return logIn(context);
}

/** The `login` command: like `openFace`, but an agent that is logged in already is a refusal. */
export async function logInOnce(context: FaceContext): Promise<LoggedInFace> {
  const running = await dialAgent(context.settings.home);
  if (running !== undefined) {
    try {
      const status = await running.call(agentCommands.status, {}, { signal: context.signal });
      checkSame(status, context.settings);
      if (status.user !== null)
        throw alreadyLoggedIn(status.user, `at ${status.server ?? '?'}, through the agent in ${context.settings.home}`);
    } finally {
      await running.close();
    }
  }
  return logIn(context);
}

type Status = ResultOf<typeof agentCommands.status>;

/** One home is one user at one server at a time. */
function checkSame({ user, server }: Status, { user: wanted, server: address, serverGiven, home }: Settings): void {
  if (user === null) return;
  const other = wanted !== undefined && nameKey(wanted) !== nameKey(user);
  const elsewhere = serverGiven && server !== null && !isSameServer(server, address);
  if (!other && !elsewhere) return;
  const wish = other ? `as ${wanted}` : `at ${address}`;
  const where = `at ${server ?? '?'}, through the agent in ${home}; to be logged in ${wish} besides, give another folder with --home`;
  throw alreadyLoggedIn(user, where);
}

const alreadyLoggedIn = (user: string, where: string): ParleyError =>
  new ParleyError('ALREADY_LOGGED_IN', { user, where });

function isSameServer(one: string, other: string): boolean {
  const key = (address: string): string => address.toLowerCase().replace(/^(localhost|\[::1\]):/, '127.0.0.1:');
  return key(one) === key(other);
}

/**
 * Logs in through an agent that waits for that, started when there is none. An agent ends when its first login fails; a mistyped
 * password is asked for again, and the next agent takes it.
 * @throws ParleyError LOGIN_REQUIRED when there is nothing to log in with; what login throws
 */
export async function logIn(context: FaceContext): Promise<LoggedInFace> {
  let credentials = await findCredentials(context);
  for (let tries = 1; ; tries++) {
    try {
      return await tryLogIn(credentials, context);
    } catch (thrown) {
      const mistyped = thrown instanceof ParleyError && thrown.code === 'BAD_CREDENTIALS';
      if (!mistyped || credentials.askAgain === undefined || tries >= PASSWORD_TRIES) throw thrown;
      context.notice(thrown.message);
      credentials = await credentials.askAgain();
    }
  }
}

async function tryLogIn({ user, password }: Credentials, context: FaceContext): Promise<LoggedInFace> {
  const { settings, signal, notice } = context;
  const { server, fingerprint } = settings;
  const { connection, pid } = await startAgent(settings, signal);
  const params = { server, user, password, ...(fingerprint === undefined ? {} : { fingerprint }) };
  try {
    // No deadline of our own: the agent has one for each step.
    const onEvent = (event: unknown): void => {
      const pinned = pinnedEvent.safeParse(event).data;
      if (pinned === undefined) return;
      notice(
        `first time at ${server}: its key ${printable(pinned.fingerprint)} is pinned; compare it with what the server printed`,
      );
    };
    const result = await connection
      .call(agentCommands.login, params, { signal, onEvent, deadlineMs: Infinity })
      .catch((thrown: unknown) => loggedInBy(connection, { ...settings, user, serverGiven: true }, thrown, signal));
    if (pid === undefined) await applyLimitFlags(connection, context);
    else notice(`started an agent for ${result.user} at ${server} (pid ${pid})`);
    return { connection, user: result.user };
  } catch (thrown) {
    // An interrupted login may still succeed; an agent that another started, or logged in, is left alone.
    const isOthers = pid === undefined || (thrown instanceof ParleyError && thrown.code === 'ALREADY_LOGGED_IN');
    if (!isOthers) await connection.call(agentCommands.logout, {}, { deadlineMs: GOODBYE_MS }).catch(() => undefined);
    await connection.close();
    throw thrown;
  }
}

/** Another command may have been quicker with the same wish: then that is as good. Throws what the login threw otherwise. */
async function loggedInBy(
  connection: Connection,
  wanted: Settings,
  thrown: unknown,
  signal: AbortSignal,
): Promise<{ user: string }> {
  if (!(thrown instanceof ParleyError) || thrown.code !== 'ALREADY_LOGGED_IN') throw thrown;
  // An agent whose first login was refused by the server is ending, and may not answer.
  const status = await connection.call(agentCommands.status, {}, { signal }).catch(() => undefined);
  if (status === undefined || status.user === null) throw thrown;
  checkSame(status, wanted);
  return { user: status.user };
}

/** Ends session and agent, and waits until it is gone; false when there was none. */
export async function logOut({ settings, signal }: FaceContext): Promise<boolean> {
  const connection = await dialAgent(settings.home);
  if (connection === undefined) return false;
  let timer: NodeJS.Timeout | undefined;
  try {
    await connection.call(agentCommands.logout, {}, { signal });
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, GOODBYE_MS)));
    await Promise.race([connection.closed, late]);
  } finally {
    clearTimeout(timer);
    await connection.close();
  }
  return true;
}
