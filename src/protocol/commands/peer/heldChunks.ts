import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { bitmap, digest } from '../../values.js';

export const heldChunks = defineCommand({
  name: 'heldChunks',
  place: 'peer',
  says: 'Tells which chunks of the bytes with this root are held here.',
  params: z.object({ root: digest }),
  result: z.object({ bitmap }),
  errors: ['CHUNK_GONE'],
});
