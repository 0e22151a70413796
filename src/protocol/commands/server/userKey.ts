import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { publicKey, userRef } from '../../values.js';

export const userKey = defineCommand({
  name: 'userKey',
  place: 'server',
  says: 'Tells the key that a user last logged in with, for comparing safety numbers; none when they never showed one.',
  params: z.object({ user: userRef }),
  result: z.object({ user: z.string(), publicKey: publicKey.optional() }),
  errors: ['UNKNOWN_USER'],
});
