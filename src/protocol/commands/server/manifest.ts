import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { chunkCount, digest, fileRef, indexBytes, sizeBytes } from '../../values.js';

export const manifest = defineCommand({
  name: 'manifest',
  place: 'server',
  says: 'Gives what is registered under a name, for checking every byte of it.',
  params: z.object({ file: fileRef }),
  result: z.object({ file: z.string(), owner: z.string(), sizeBytes, chunks: chunkCount, root: digest, indexBytes }),
  errors: ['FILE_NOT_REGISTERED'],
  bytes: 'the chunk digests in order, 32 bytes each',
});
