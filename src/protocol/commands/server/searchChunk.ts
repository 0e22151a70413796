import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { MAX_INDICES_PER_CALL } from '../../limits.js';
import { fileRef } from '../../values.js';

export const searchChunk = defineCommand({
  name: 'searchChunk',
  place: 'server',
  says: 'Tells who online holds the chunks of these numbers; they count from 0.',
  params: z.object({
    file: fileRef,
    chunks: z.array(z.number().int().min(0)).min(1).max(MAX_INDICES_PER_CALL),
  }),
  result: z.object({
    file: z.string(),
    chunks: z.array(z.object({ index: z.number(), available: z.boolean(), holders: z.array(z.string()) })),
  }),
  errors: ['FILE_NOT_REGISTERED', 'CHUNK_NOT_FOUND'],
  pages: ['chunks'],
  cli: {
    arguments: [
      { param: 'file', kind: 'word', completes: 'file' },
      { param: 'chunks', label: 'n', kind: 'integers', completes: 'chunk' },
    ],
    examples: [{ line: 'searchChunk movie.mkv 0 4', says: 'who holds the chunks 0 and 4' }],
  },
});
