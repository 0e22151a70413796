import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { readingProgress } from './register.js';

export const seed = defineCommand({
  name: 'seed',
  place: 'agent',
  says: 'Offers a local copy of a file or folder whose bytes match what is registered under its name.',
  params: z.object({ path: z.string().max(4096) }),
  result: z.object({ file: z.string(), chunks: z.array(z.number()) }),
  errors: ['FILE_NOT_REGISTERED', 'FILE_MISSING', 'BYTES_DIFFER'],
  events: readingProgress,
  pages: ['chunks'],
  unbounded: true,
  cli: {
    arguments: [{ param: 'path', label: 'file', kind: 'path', completes: 'path' }],
    examples: [{ line: 'seed movie.mkv', says: 'my copy helps too' }],
  },
});
