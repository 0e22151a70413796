import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const queue = defineCommand({
  name: 'queue',
  place: 'peer',
  says: 'Tells how what the caller asked for waits here.',
  params: z.object({}),
  result: z.object({
    ahead: z
      .number()
      .int()
      .min(0)
      .optional()
      .describe('Users whose requests come before the caller’s; absent when nothing of the caller waits.'),
    isLimited: z.boolean().describe('Blocks wait because this end sends no faster than it was told to.'),
  }),
  errors: [],
});
