import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { messageId, timestamp } from '../../values.js';

export const privateMessage = defineCommand({
  name: 'privateMessage',
  place: 'peer',
  says: 'Gives the other end a private message; the reply means that it is kept there.',
  params: z.object({ id: messageId, text: z.string(), sentAt: timestamp }),
  result: z.object({}),
  errors: ['EMPTY_MESSAGE', 'MESSAGE_TOO_LONG', 'DISK_FULL'],
});
