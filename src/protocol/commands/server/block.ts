import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { userRef } from '../../values.js';

export const block = defineCommand({
  name: 'block',
  place: 'server',
  says: 'Takes no messages, links or transfers from a user any more; they are not told.',
  params: z.object({ user: userRef }),
  result: z.object({ user: z.string() }),
  errors: ['UNKNOWN_USER', 'SELF', 'ALREADY_BLOCKED'],
  cli: {
    arguments: [{ param: 'user', kind: 'word', completes: 'user' }],
    examples: [{ line: 'block bob', says: 'no more from bob' }],
  },
});
