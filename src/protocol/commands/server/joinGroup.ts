import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { groupRef } from './createGroup.js';

export const joinGroup = defineCommand({
  name: 'join_group',
  place: 'server',
  says: 'Enters a group. In a focus group what comes from outside is held until one leaves it.',
  params: z.object({ group: groupRef }),
  result: z.object({ group: z.string(), members: z.array(z.string()).describe('By name, with oneself.') }),
  errors: ['NO_SUCH_GROUP', 'ALREADY_IN_GROUP', 'DISK_FULL'],
  pages: ['members'],
  cli: {
    arguments: [{ param: 'group', kind: 'word', completes: 'group' }],
    examples: [{ line: 'join_group exam', says: 'the others in it are told' }],
  },
});
