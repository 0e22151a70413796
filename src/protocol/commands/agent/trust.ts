import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { userRef } from '../../values.js';
import { keyView } from './startprivate.js';

export const trust = defineCommand({
  name: 'trust',
  place: 'agent',
  says: 'Forgets the pinned key of a user, so that the next link pins the one they have now.',
  params: z.object({ user: userRef, reset: z.literal(true) }),
  result: keyView,
  errors: ['UNKNOWN_USER'],
  cli: {
    arguments: [{ param: 'user', kind: 'word', completes: 'user' }],
    options: [{ flags: '--reset', param: 'reset', kind: 'flag', says: 'needed, so that it is not done by accident' }],
    examples: [{ line: 'trust bob --reset', says: 'bob has a new machine, and told me so himself' }],
  },
});
