/** Events: what the server pushes to a client, and what a face hears from its agent. */
import { z } from 'zod';
import { messageId, timestamp } from './values.js';

const at = timestamp;
const user = z.string();

/** A message as it lies in the recipient's log; `position` counts 1, 2, 3 … for each recipient. */
export const pushedMessage = z.object({
  type: z.enum(['message', 'broadcast', 'group']),
  position: z.number().int().min(1),
  id: messageId,
  from: user,
  to: z.string().describe('The recipient, the group, `all`, or the names a broadcast was for.'),
  text: z.string(),
  at,
});
export type PushedMessage = z.output<typeof pushedMessage>;

const presence = z.object({ type: z.literal('presence'), from: user, online: z.boolean(), at });

/** What the server has to say: `code` is one of NOTICE_CODES. */
const notice = z.object({
  type: z.literal('notice'),
  code: z.string(),
  from: z.literal('server'),
  text: z.string(),
  at,
  group: z.string().optional().describe('The group it is about.'),
  user: z.string().optional().describe('Whom it is about.'),
});

/** A message as it travels: without a position it has the next one after that of the message before it on this connection. */
const travellingMessage = pushedMessage.extend({
  position: pushedMessage.shape.position
    .optional()
    .describe('Left out: the next one after that of the message before it on this connection.'),
});
export type TravellingMessage = z.output<typeof travellingMessage>;

/** Which focus group this user is in from now on; none is null. Comes before the answer of what changed it. */
const focus = z.object({ type: z.literal('focus'), group: z.string().nullable(), at });

/** Pushed by the server to a logged-in client, as event frames with id 0. */
export const serverEvent = z.discriminatedUnion('type', [travellingMessage, presence, notice, focus]);
export type ServerEvent = z.output<typeof serverEvent>;

export function isMessage(event: ServerEvent): event is TravellingMessage {
  return event.type === 'message' || event.type === 'broadcast' || event.type === 'group';
}

export type MessagePlacer = (message: TravellingMessage) => PushedMessage;

/** Gives the messages of one connection, in their order, the positions that were left out. */
export function messagePlacer(): MessagePlacer {
  let last = 0;
  return (message) => {
    last = message.position ?? last + 1;
    return { ...message, position: last };
  };
}

export const NOTICE_CODES = {
  LOGGED_OUT_IDLE: 'the session ended: nothing was done for the server’s timeout',
  LOGGED_OUT_REPLACED: 'the session ended: the user logged in again while this connection was dead',
  LOGGED_OUT_KICKED: 'the session ended: the operator of the server ended it',
  ACCOUNT_REMOVED: 'the session ended: the account was removed',
  SERVER_STOPPING: 'the server is going down; the agent comes back when it is up',
  CONNECTION_LOST: 'the server cannot be reached; the agent keeps trying',
  CONNECTION_RESTORED: 'the server is back and the session goes on',
  GROUP_JOINED: 'somebody entered a group',
  GROUP_LEFT: 'somebody left a group',
  GROUP_REMOVED: 'somebody left a group without a word and was removed from it',
  MESSAGES_HELD: 'messages from outside wait until the focus group is left',
  MESSAGE_REFUSED: 'a message that was to go out later was refused',
  PRIVATE_STARTED: 'a private chat was begun',
  PRIVATE_STOPPED: 'a private chat was ended by the other side',
  PRIVATE_LOST: 'a private link broke',
  NOT_REACHABLE: 'others cannot connect here, so nobody can fetch what is shared here',
  FILE_WITHDRAWN: 'a shared file changed or went away and is offered no more',
} as const;
export type NoticeCode = keyof typeof NOTICE_CODES;

/** How one transfer stands. Rates are bytes per second over the last seconds. */
export const transferState = z.object({
  file: z.string(),
  direction: z.enum(['download', 'upload']),
  state: z.enum(['running', 'waiting', 'done', 'failed']),
  sizeBytes: z.number(),
  bytes: z.number().describe('Verified bytes here, or bytes sent.'),
  rate: z.number(),
  secondsLeft: z
    .number()
    .optional()
    .describe('Seconds that the rest takes at this rate; absent when it cannot be known.'),
  sources: z.array(z.object({ user, bytes: z.number(), rate: z.number() })),
  code: z.string().optional().describe('Why it failed or waits.'),
});
export type TransferState = z.output<typeof transferState>;

/** What `listen` prints, one a line. */
export const faceEvent = z.discriminatedUnion('type', [
  pushedMessage.partial({ position: true }),
  z.object({ type: z.literal('private'), id: messageId, from: user, to: user, text: z.string(), at }),
  presence,
  z.object({
    type: z.literal('notice'),
    code: z.string(),
    from: user,
    text: z.string(),
    at,
    group: z.string().optional(),
    user: user.optional(),
  }),
  z
    .object({ type: z.literal('standing'), user, group: z.string().nullable(), unread: z.number().int().min(0), at })
    .describe('How the user stands, when it has changed; only for a face that shows messages.'),
  z.object({ type: z.literal('transfer'), at, transfer: transferState }),
]);
export type FaceEvent = z.output<typeof faceEvent>;
