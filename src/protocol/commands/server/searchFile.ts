import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { fileRef } from '../../values.js';

export const searchFile = defineCommand({
  name: 'searchFile',
  place: 'server',
  says: 'Tells what is registered under a name and who online holds at least one chunk of it.',
  params: z.object({ file: fileRef }),
  result: z.object({
    file: z.string(),
    available: z.boolean().describe('Every chunk is held by somebody online.'),
    sizeBytes: z.number(),
    chunks: z.number(),
    folder: z.literal(true).optional().describe('Present when it is a folder.'),
    owner: z.string(),
    root: z.string(),
    holders: z.array(z.string()),
  }),
  errors: ['FILE_NOT_REGISTERED'],
  pages: ['holders'],
  cli: {
    arguments: [{ param: 'file', kind: 'word', completes: 'file' }],
    examples: [{ line: 'searchFile movie.mkv', says: 'its size, chunks, owner and holders' }],
  },
});
