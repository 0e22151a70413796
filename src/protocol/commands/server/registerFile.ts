import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { chunkCount, digest, indexBytes, sizeBytes } from '../../values.js';

export const registerFile = defineCommand({
  name: 'registerFile',
  place: 'server',
  says: 'Registers the manifest of a file or folder under its name for good; its registrant owns it and holds all of it.',
  params: z.object({ file: z.string().max(1024), sizeBytes, chunks: chunkCount, root: digest, indexBytes }),
  result: z.object({ file: z.string() }),
  errors: ['FILE_ALREADY_REGISTERED', 'BAD_NAME', 'BAD_CHUNK_COUNT', 'TOO_MANY_FILES', 'DISK_FULL'],
  body: 'the chunk digests in order, 32 bytes each',
});
