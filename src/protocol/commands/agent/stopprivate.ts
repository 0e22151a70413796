import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { userRef } from '../../values.js';

export const stopprivate = defineCommand({
  name: 'stopprivate',
  place: 'agent',
  says: 'Ends the private chat with a user; they are told.',
  params: z.object({ user: userRef }),
  result: z.object({ user: z.string() }),
  errors: ['UNKNOWN_USER', 'SELF', 'NO_PRIVATE_LINK'],
  cli: {
    arguments: [{ param: 'user', kind: 'word', completes: 'user' }],
    examples: [{ line: 'stopprivate bob', says: 'closes the link' }],
  },
});
