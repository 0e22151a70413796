import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { groupRef } from './createGroup.js';
import { storedMessage } from './history.js';

export const leaveGroup = defineCommand({
  name: 'leave_group',
  place: 'server',
  says: 'Leaves a group: the focus group one is in, the only open one, or the one named; shows what was held meanwhile.',
  params: z.object({ group: groupRef.optional() }),
  result: z.object({
    group: z.string(),
    held: z
      .array(storedMessage)
      .describe('What came from outside while in the focus group and was not shown, oldest first.'),
  }),
  errors: ['NOT_IN_GROUP', 'DISK_FULL'],
  pages: ['held'],
  cli: {
    arguments: [{ param: 'group', kind: 'word', optional: true, completes: 'group' }],
    examples: [{ line: 'leave_group', says: 'and what was held is shown, in order' }],
  },
});
