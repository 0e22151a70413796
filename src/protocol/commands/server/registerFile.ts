import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { chunkCount, digest, sizeBytes } from '../../values.js';

export const registerFile = defineCommand({
  name: 'registerFile',
  place: 'server',
  says: 'Registers a file’s manifest under its name for good; its registrant owns it and holds all of it.',
  params: z.object({ file: z.string().max(1024), sizeBytes, chunks: chunkCount, root: digest }),
  result: z.object({ file: z.string() }),
  errors: ['FILE_ALREADY_REGISTERED', 'BAD_NAME', 'BAD_CHUNK_COUNT', 'TOO_MANY_FILES', 'DISK_FULL'],
  body: 'the chunk digests in order, 32 bytes each',
});
