import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { messageId, sendNumber } from '../../values.js';
import { groupRef } from './createGroup.js';

export const sendGroup = defineCommand({
  name: 'send_group',
  place: 'server',
  says: 'Sends a message to everyone else in a group: the focus group one is in, the only open one, or the one named. Members of an open group who are away find it in their inbox.',
  params: z.object({
    id: messageId.optional(),
    number: sendNumber.optional(),
    group: groupRef.optional(),
    text: z.string(),
  }),
  result: z.object({
    id: messageId,
    recipients: z.array(z.string()).describe('Without who blocks the sender and whose inbox is full.'),
  }),
  errors: ['NOT_IN_GROUP', 'IN_FOCUS_GROUP', 'EMPTY_MESSAGE', 'MESSAGE_TOO_LONG', 'OUT_OF_ORDER', 'DISK_FULL'],
  pages: ['recipients'],
  cli: {
    arguments: [{ param: 'text', kind: 'text' }],
    options: [
      {
        flags: '--group <group>',
        param: 'group',
        kind: 'word',
        says: 'this one of the groups one is in',
        completes: 'group',
      },
    ],
    examples: [
      { line: 'send_group who has question 3', says: 'to the room one is in' },
      { line: 'send_group --group news the talk is at five', says: 'to one of several open groups' },
    ],
  },
});
