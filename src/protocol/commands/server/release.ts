import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { fileRef } from '../../values.js';

export const release = defineCommand({
  name: 'release',
  place: 'server',
  says: 'Says that this client gives a file to nobody any more.',
  params: z.object({ file: fileRef }),
  result: z.object({}),
  errors: [],
});
