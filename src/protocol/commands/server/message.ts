import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { messageId, sendNumber, userRef } from '../../values.js';

export const message = defineCommand({
  name: 'message',
  place: 'server',
  says: 'Sends a message to a user; it is kept for them when they are away.',
  params: z.object({
    id: messageId
      .optional()
      .describe('Made by the client; the same id sent again is the same message. Without one the server makes it.'),
    number: sendNumber.optional(),
    user: userRef,
    text: z.string(),
  }),
  result: z.object({
    id: messageId,
    delivered: z
      .boolean()
      .describe('False when it is kept for when they log on, or leave the focus group they are in.'),
  }),
  errors: [
    'UNKNOWN_USER',
    'SELF',
    'BLOCKED',
    'IN_FOCUS_GROUP',
    'EMPTY_MESSAGE',
    'MESSAGE_TOO_LONG',
    'INBOX_FULL',
    'OUT_OF_ORDER',
    'DISK_FULL',
  ],
  cli: {
    aliases: ['send'],
    arguments: [
      { param: 'user', kind: 'word', completes: 'user' },
      { param: 'text', kind: 'text' },
    ],
    examples: [{ line: 'message bob the slides are up', says: 'bob reads it now or when he is back' }],
  },
});
