import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { MAX_FILE_BYTES } from '../../limits.js';
import { chunkIndex, digest } from '../../values.js';

export const fetchBlock = defineCommand({
  name: 'fetchBlock',
  place: 'peer',
  says: 'Gives one block of a chunk.',
  params: z.object({
    root: digest,
    chunk: chunkIndex,
    block: z.number().int().min(0).max(MAX_FILE_BYTES).describe('The block’s number inside its chunk, from 0.'),
  }),
  result: z.object({}),
  errors: ['CHUNK_GONE', 'SERVER_BUSY'],
  bytes: 'the block, at most 1 MiB',
});
