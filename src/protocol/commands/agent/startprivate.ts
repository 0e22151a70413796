import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { userRef } from '../../values.js';

/** A peer's key as two people compare it; null while no key of theirs is known. */
export const keyView = z.object({
  user: z.string(),
  safetyNumber: z
    .string()
    .regex(/^\d{60}$/)
    .nullable()
    .describe('60 digits.'),
  verified: z.boolean(),
});

export const startprivate = defineCommand({
  name: 'startprivate',
  place: 'agent',
  says: 'Opens a direct, encrypted link to a user for private messages that the server cannot read; they are told.',
  params: z.object({ user: userRef }),
  result: keyView,
  errors: [
    'UNKNOWN_USER',
    'USER_OFFLINE',
    'SELF',
    'BLOCKED',
    'IN_FOCUS_GROUP',
    'PEER_UNREACHABLE',
    'KEY_CHANGED',
    'PRIVATE_EXISTS',
  ],
  cli: {
    arguments: [{ param: 'user', kind: 'word', completes: 'user' }],
    examples: [{ line: 'startprivate bob', says: 'then: private bob TEXT' }],
  },
});
