import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { messageId, sendNumber, userRef } from '../../values.js';

export const broadcast = defineCommand({
  name: 'broadcast',
  place: 'server',
  says: 'Sends a message to everyone online, or to the users named; those who block you are skipped.',
  params: z.object({
    id: messageId.optional(),
    number: sendNumber.optional(),
    text: z.string(),
    to: z.array(userRef).min(1).max(512).optional().describe('Only these users, kept for those of them who are away.'),
  }),
  result: z.object({
    id: messageId,
    recipients: z.array(z.string()),
    blockedBy: z
      .number()
      .int()
      .min(0)
      .optional()
      .describe('To everyone: how many were skipped because they block you.'),
    skipped: z
      .array(z.object({ user: z.string(), code: z.string() }))
      .optional()
      .describe('To users named: who was skipped, and why.'),
  }),
  errors: ['UNKNOWN_USER', 'IN_FOCUS_GROUP', 'EMPTY_MESSAGE', 'MESSAGE_TOO_LONG', 'OUT_OF_ORDER', 'DISK_FULL'],
  pages: ['recipients'],
  cli: {
    arguments: [{ param: 'text', kind: 'text' }],
    options: [
      {
        flags: '--to <users>',
        param: 'to',
        kind: 'names',
        says: 'only these users, separated by commas',
        completes: 'user',
      },
    ],
    rewrite: (words) => {
      const [first, names, ...text] = words;
      const named = first?.toLowerCase() === 'user' && names !== undefined && /^[^,\s]+(,[^,\s]+)+$/.test(names);
      return named ? ['--to', names, ...text] : words;
    },
    examples: [
      { line: 'broadcast lunch is here', says: 'to everyone online' },
      { line: 'broadcast user bob,carol review at three', says: 'to bob and carol only' },
    ],
  },
});
