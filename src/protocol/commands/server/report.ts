import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { chunkIndex, fileRef, userRef } from '../../values.js';

export const report = defineCommand({
  name: 'report',
  place: 'server',
  says: 'Reports a holder whose bytes or promises about a file were wrong; three distinct reporters end that holding.',
  params: z.object({ user: userRef, file: fileRef, chunk: chunkIndex, code: z.enum(['HASH_MISMATCH', 'CHUNK_GONE']) }),
  result: z.object({}),
  errors: ['UNKNOWN_USER', 'FILE_NOT_REGISTERED', 'SELF'],
  passive: true,
});
