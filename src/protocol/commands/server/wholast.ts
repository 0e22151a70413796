import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { timestamp } from '../../values.js';

export const wholast = defineCommand({
  name: 'wholast',
  place: 'server',
  says: 'Lists everyone who was online in the last so many minutes, with the time they were last seen.',
  params: z.object({ minutes: z.number().int().min(0) }),
  result: z.object({ users: z.array(z.object({ user: z.string(), lastSeen: timestamp, online: z.boolean() })) }),
  errors: [],
  pages: ['users'],
  cli: {
    arguments: [{ param: 'minutes', kind: 'integer' }],
    examples: [{ line: 'wholast 15', says: 'who was here in the last quarter of an hour' }],
  },
});
