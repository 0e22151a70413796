import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const files = defineCommand({
  name: 'files',
  place: 'server',
  says: 'Lists the registered files, or those whose names fit a pattern with * and ?.',
  params: z.object({ pattern: z.string().max(256).optional() }),
  result: z.object({
    files: z.array(
      z.object({
        file: z.string(),
        sizeBytes: z.number(),
        chunks: z.number(),
        folder: z.literal(true).optional().describe('Present when it is a folder.'),
        owner: z.string(),
        holders: z.number(),
      }),
    ),
  }),
  errors: [],
  pages: ['files'],
  cli: {
    arguments: [{ param: 'pattern', kind: 'word', optional: true, completes: 'file' }],
    examples: [{ line: "files '*.pdf'", says: 'every registered PDF' }],
  },
});
