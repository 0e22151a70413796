import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { userRef } from '../../values.js';
import { keyView } from './startprivate.js';

export const verify = defineCommand({
  name: 'verify',
  place: 'agent',
  says: 'Shows the safety number that you and a user compare by voice; --confirm notes that it was the same.',
  params: z.object({ user: userRef, confirm: z.boolean().optional() }),
  result: keyView,
  errors: ['UNKNOWN_USER'],
  cli: {
    arguments: [{ param: 'user', kind: 'word', completes: 'user' }],
    options: [{ flags: '--confirm', param: 'confirm', kind: 'flag', says: 'the number was the same at both ends' }],
    examples: [{ line: 'verify bob --confirm', says: 'bob read the same digits to me' }],
  },
});
