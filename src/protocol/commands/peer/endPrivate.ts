import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const endPrivate = defineCommand({
  name: 'endPrivate',
  place: 'peer',
  says: 'Ends a private chat; the caller closes the link after the reply.',
  params: z.object({}),
  result: z.object({}),
  errors: [],
});
