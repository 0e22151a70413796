import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { MAX_INBOX_PAGE } from '../../limits.js';
import { messageId } from '../../values.js';

export const markRead = defineCommand({
  name: 'markRead',
  place: 'server',
  says: 'Says that these messages were shown to the user; unknown ids are passed over.',
  params: z.object({ ids: z.array(messageId).max(MAX_INBOX_PAGE) }),
  result: z.object({ unread: z.number().int().min(0) }),
  errors: [],
});
