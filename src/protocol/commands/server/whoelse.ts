import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const whoelse = defineCommand({
  name: 'whoelse',
  place: 'server',
  says: 'Lists the other users who are online.',
  params: z.object({}),
  result: z.object({ users: z.array(z.string()) }),
  errors: [],
  pages: ['users'],
  cli: { arguments: [], examples: [{ line: 'whoelse', says: 'who is here besides me' }] },
});
