import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { userRef } from '../../values.js';

export const unblock = defineCommand({
  name: 'unblock',
  place: 'server',
  says: 'Takes messages from a blocked user again.',
  params: z.object({ user: userRef }),
  result: z.object({ user: z.string() }),
  errors: ['UNKNOWN_USER', 'SELF', 'NOT_BLOCKED'],
  cli: {
    arguments: [{ param: 'user', kind: 'word', completes: 'user' }],
    examples: [{ line: 'unblock bob', says: 'bob may write again' }],
  },
});
