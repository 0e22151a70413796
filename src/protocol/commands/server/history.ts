import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { MAX_INBOX_PAGE } from '../../limits.js';
import { messageId, searchWords, timestamp, userRef } from '../../values.js';

/** A message as `inbox` shows it. */
export const storedMessage = z.object({
  id: messageId,
  kind: z.enum(['message', 'broadcast', 'group', 'private']),
  from: z.string(),
  to: z.string(),
  text: z.string(),
  sentAt: timestamp,
  unread: z.boolean(),
});
export type StoredMessage = z.output<typeof storedMessage>;

export const history = defineCommand({
  name: 'history',
  place: 'server',
  says: 'Reads a page of the messages that came to this user: the newest that fit the question, oldest first. A page may be shorter than asked for; only an empty one is the end.',
  params: z.object({
    unread: z.boolean().optional(),
    with: userRef.optional().describe('Only messages from this user.'),
    before: messageId.optional().describe('Only messages older than this one.'),
    search: searchWords
      .optional()
      .describe(
        'Only messages with all of these words; case and accents do not count, and a `*` at the end of a word stands for any ending.',
      ),
    limit: z.number().int().min(1).max(MAX_INBOX_PAGE),
  }),
  result: z.object({ messages: z.array(storedMessage) }),
  errors: ['UNKNOWN_USER'],
  pages: ['messages'],
});
