import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { chunkIndex, digest } from '../../values.js';

export const blockDigests = defineCommand({
  name: 'blockDigests',
  place: 'peer',
  says: 'Gives the block digests of a chunk, to be checked against the chunk digest before any block is asked for.',
  params: z.object({ root: digest, chunk: chunkIndex }),
  result: z.object({}),
  errors: ['CHUNK_GONE', 'SERVER_BUSY'],
  bytes: 'the digests of the chunk’s blocks in order, 32 bytes each',
});
