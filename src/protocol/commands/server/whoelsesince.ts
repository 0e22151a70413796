import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const whoelsesince = defineCommand({
  name: 'whoelsesince',
  place: 'server',
  says: 'Lists the other users who were online at any time in the last so many seconds.',
  params: z.object({ seconds: z.number().int().min(0) }),
  result: z.object({ users: z.array(z.string()) }),
  errors: [],
  pages: ['users'],
  cli: {
    arguments: [{ param: 'seconds', kind: 'integer' }],
    examples: [{ line: 'whoelsesince 3600', says: 'who was here in the last hour' }],
  },
});
