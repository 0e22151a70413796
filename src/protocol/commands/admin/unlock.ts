import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { userRef } from '../../values.js';

export const unlock = defineCommand({
  name: 'unlock',
  place: 'admin',
  says: 'Takes back every failed login of an account: from any address and device, and what it added to the blocks of whole addresses.',
  params: z.object({ user: userRef }),
  result: z.object({
    user: z.string(),
    wasLocked: z.boolean().describe('Whether a login of the account was being blocked or delayed from somewhere.'),
  }),
  errors: ['UNKNOWN_USER'],
});
