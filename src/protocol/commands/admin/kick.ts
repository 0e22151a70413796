import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { userRef } from '../../values.js';

export const kick = defineCommand({
  name: 'kick',
  place: 'admin',
  says: 'Ends the session of a user, who is told so; it cannot be resumed, but the user can log in anew.',
  params: z.object({ user: userRef }),
  result: z.object({ user: z.string() }),
  errors: ['UNKNOWN_USER', 'USER_OFFLINE'],
});
