import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { groupRef } from './createGroup.js';

export const listMembers = defineCommand({
  name: 'list_members',
  place: 'server',
  says: 'Lists who is in a group one is in: the focus group, the only open one, or the one named.',
  params: z.object({ group: groupRef.optional() }),
  result: z.object({ group: z.string(), members: z.array(z.string()) }),
  errors: ['NOT_IN_GROUP'],
  pages: ['members'],
  cli: {
    arguments: [{ param: 'group', kind: 'word', optional: true, completes: 'group' }],
    examples: [{ line: 'list_members', says: 'who is in this room' }],
  },
});
