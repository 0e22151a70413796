import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { MAX_CHUNKS, MAX_FILE_BYTES, MAX_REQUEST_BYTES } from '../../limits.js';
import { chunkIndex, digest } from '../../values.js';

export const fetchBlock = defineCommand({
  name: 'fetchBlock',
  place: 'peer',
  says: 'Gives one block of a chunk, or several that stand side by side in the file.',
  params: z.object({
    root: digest,
    chunk: chunkIndex,
    block: z.number().int().min(0).max(MAX_FILE_BYTES).describe('The block’s number inside its chunk, from 0.'),
    count: z
      .number()
      .int()
      .min(1)
      .max(MAX_CHUNKS)
      .optional()
      .describe(
        'So many blocks from there on, also of the chunks that follow; together at most 4 MiB. One when absent.',
      ),
  }),
  result: z.object({}),
  errors: ['BAD_REQUEST', 'CHUNK_GONE', 'SERVER_BUSY'],
  bytes: 'the blocks, one behind another, at most 4 MiB',
  windowBytes: MAX_REQUEST_BYTES,
});
