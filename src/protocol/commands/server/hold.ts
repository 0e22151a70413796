import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { MAX_INDICES_PER_CALL } from '../../limits.js';
import { bitmap, chunkIndex, digest, fileRef } from '../../values.js';

export const hold = defineCommand({
  name: 'hold',
  place: 'server',
  says: 'Says which chunks of a file this client holds and gives to others, until the lease ends or the session does.',
  params: z.object({
    file: fileRef,
    root: digest.describe('Of the bytes held: must be the registered one.'),
    chunks: z
      .union([
        z.literal('all'),
        z.object({ bitmap }),
        z.object({ add: z.array(chunkIndex).min(1).max(MAX_INDICES_PER_CALL) }),
      ])
      .describe('All of the file, exactly those of a bitmap, or some more.'),
    partial: z
      .literal(true)
      .optional()
      .describe('Blocks of other chunks are here as well, or come: others may ask for them.'),
  }),
  result: z.object({}),
  errors: ['KEY_REQUIRED', 'FILE_NOT_REGISTERED', 'BYTES_DIFFER', 'CHUNK_NOT_FOUND', 'TOO_MANY_FILES'],
});
