/** Hands commands of the server on to it, for a face: sent by way of the outbox, or asked again when nobody answers. */
import { z } from 'zod';
import type { CommandSpec, IncomingCall } from '../../protocol/command.js';
import { storedMessage } from '../../protocol/commands/server/history.js';
import type { StoredMessage } from '../../protocol/commands/server/history.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { Connection } from '../../protocol/connection.js';
import { ParleyError } from '../../protocol/errors.js';
import { MAX_INBOX_PAGE } from '../../protocol/limits.js';
import { accountKey } from './account.js';
import { afterReply } from './handlers.js';
import { asStored, noteShown } from './inbox.js';
import { SEND_COMMANDS } from './outboxentries.js';
import type { SendCommand } from './outboxentries.js';
import type { AgentParts } from './parts.js';

export interface Forwarded {
  readonly parts: AgentParts;
  readonly face: Connection;
  readonly call: IncomingCall;
}

type Params = Readonly<Record<string, unknown>>;

const named = z.object({ user: z.string() });
const filed = z.object({ file: z.string() });
const left = z.object({ group: z.string(), held: z.array(storedMessage) });

/** @throws ParleyError what the server refuses with; SERVER_UNREACHABLE or TIMEOUT when it does not answer for a while */
export async function forward(spec: CommandSpec, params: Params, forwarded: Forwarded): Promise<object> {
  const { parts, face, call } = forwarded;
  if (isSend(spec.name)) {
    const { entry, result } = await parts.outbox.send(spec.name, params, call.signal);
    afterReply(call, () => {
      if (face.isOpen) parts.outbox.told(entry);
    });
    return result;
  }
  if (spec.name === 'leave_group') afterReply(call, parts.receiver.leaving());
  const result = await ask(spec, params, forwarded);
  return follow(spec.name, result, forwarded);
}

function isSend(name: string): name is SendCommand {
  return (SEND_COMMANDS as readonly string[]).includes(name);
}

/** Asks until there is an answer; the second time, "it is so already" is one, for the first may have made it so. */
async function ask(spec: CommandSpec, params: Params, { parts, call }: Forwarded): Promise<object> {
  const { signal } = call;
  const asked = { before: false };
  const wasAsked = (before: boolean): void => void (asked.before = before);
  try {
    return (await parts.session.callAgain(spec, params, { signal, wasAsked })) as object;
  } catch (thrown) {
    if (!asked.before || !(thrown instanceof ParleyError)) throw thrown;
    const done = await madeSoBefore(spec.name, params, thrown, parts);
    if (done === undefined) throw thrown;
    return done;
  }
}

/** What the answer would have been, had it not been lost. */
async function madeSoBefore(
  command: string,
  params: Params,
  { code, details }: ParleyError,
  { session, standing }: AgentParts,
): Promise<object | undefined> {
  const { user, file, group, open } = params;
  switch (`${command} ${code}`) {
    case 'block ALREADY_BLOCKED':
    case 'unblock NOT_BLOCKED':
      return { user: details['user'] ?? user };
    case 'unregister FILE_NOT_REGISTERED':
      return { file };
    case 'create_group GROUP_EXISTS':
      return { group: details['group'] ?? group, mode: open === true ? 'open' : 'focus' };
    case 'join_group ALREADY_IN_GROUP': {
      const name = details['group'];
      const isThis = typeof name === 'string' && name.toLowerCase() === String(group).toLowerCase();
      return isThis ? session.call(serverCommands.list_members, { group: name }) : undefined;
    }
    case 'leave_group NOT_IN_GROUP': {
      const { messages } = await session.call(serverCommands.history, { unread: true, limit: MAX_INBOX_PAGE });
      return { group: group ?? standing.focus ?? '', held: messages };
    }
    default:
      return undefined;
  }
}

/** What some commands of the server mean for this agent. */
async function follow(command: string, result: object, { parts, face, call }: Forwarded): Promise<object> {
  const { peers, library } = parts;
  if (command === 'block') peers.block(named.parse(result).user);
  else if (command === 'unblock') peers.unblock(named.parse(result).user);
  else if (command === 'unregister') await library.removeFile(filed.parse(result).file);
  else if (command === 'leave_group') {
    const { group, held } = left.parse(result);
    await parts.receiver.showHeld(held.map(({ id }) => id));
    const all = inOrder(held, heldHere(parts));
    afterReply(call, () => {
      if (face.isOpen) noteShown(all, parts);
    });
    return { group, held: all };
  }
  return result;
}

/** Private messages that the focus group held back, which only this agent knows. */
function heldHere({ standing, privateLog, account }: AgentParts): StoredMessage[] {
  if (standing.focus !== undefined) return [];
  const ids = standing.release();
  const kept = privateLog.messages(accountKey(account())).filter(({ id, unread }) => unread && ids.has(id));
  return kept.map(asStored);
}

/** Two lists, each in its order, as one by time. */
function inOrder(one: readonly StoredMessage[], other: readonly StoredMessage[]): StoredMessage[] {
  const rest = [...other];
  const all: StoredMessage[] = [];
  for (const message of one) {
    for (let next = rest[0]; next !== undefined && next.sentAt < message.sentAt; next = rest[0]) {
      all.push(next);
      rest.shift();
    }
    all.push(message);
  }
  return [...all, ...rest];
}
