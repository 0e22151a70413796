import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { messageId, userRef } from '../../values.js';

export const privateCommand = defineCommand({
  name: 'private',
  place: 'agent',
  says: 'Sends a private message over the direct link; done when the other end has kept it.',
  params: z.object({ user: userRef, text: z.string() }),
  result: z.object({ id: messageId, delivered: z.literal(true) }),
  errors: [
    'UNKNOWN_USER',
    'USER_OFFLINE',
    'SELF',
    'BLOCKED',
    'IN_FOCUS_GROUP',
    'PEER_UNREACHABLE',
    'KEY_CHANGED',
    'NO_PRIVATE_LINK',
    'EMPTY_MESSAGE',
    'MESSAGE_TOO_LONG',
  ],
  cli: {
    arguments: [
      { param: 'user', kind: 'word', completes: 'user' },
      { param: 'text', kind: 'text' },
    ],
    examples: [{ line: 'private bob the key is under the mat', says: 'nobody between can read it' }],
  },
});
