import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { messageId, searchWords, userRef } from '../../values.js';
import { storedMessage } from '../server/history.js';

export const inbox = defineCommand({
  name: 'inbox',
  place: 'agent',
  says: 'Shows what came while away, and history, oldest first; what it shows is unread no more.',
  params: z.object({
    unread: z.boolean().optional(),
    with: userRef.optional(),
    limit: z
      .number()
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .describe('At most so many, the newest; without it all unread ones, and at least the newest 50.'),
    before: messageId.optional(),
    search: searchWords.optional(),
  }),
  result: z.object({ messages: z.array(storedMessage) }),
  errors: ['UNKNOWN_USER'],
  pages: ['messages'],
  cli: {
    arguments: [],
    options: [
      { flags: '--unread', param: 'unread', kind: 'flag', says: 'only what was not shown yet' },
      { flags: '--with <user>', param: 'with', kind: 'word', says: 'only messages from this user', completes: 'user' },
      { flags: '--limit <n>', param: 'limit', kind: 'integer', says: 'at most so many, the newest' },
      { flags: '--before <id>', param: 'before', kind: 'word', says: 'only messages older than this one' },
      {
        flags: '--search <words>',
        param: 'search',
        kind: 'word',
        says: 'only messages with all of these words (quote several); slid* finds slides, too',
      },
    ],
    examples: [
      { line: 'inbox --unread', says: 'what came while I was away' },
      { line: 'inbox --with bob --limit 20', says: 'the last twenty from bob' },
      { line: 'inbox --search "exam room"', says: 'where was it said' },
    ],
  },
});
