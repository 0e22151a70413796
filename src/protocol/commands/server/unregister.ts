import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { fileRef } from '../../values.js';

export const unregister = defineCommand({
  name: 'unregister',
  place: 'server',
  says: 'Takes a file of yours off the list; copies that others have stay theirs.',
  params: z.object({ file: fileRef }),
  result: z.object({ file: z.string() }),
  errors: ['FILE_NOT_REGISTERED', 'NOT_OWNER'],
  cli: {
    arguments: [{ param: 'file', kind: 'word', completes: 'file' }],
    examples: [{ line: 'unregister movie.mkv', says: 'nobody finds it any more' }],
  },
});
