import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const renew = defineCommand({
  name: 'renew',
  place: 'server',
  says: 'Renews every holding of this session and counts as activity; for a client that holds files or has transfers.',
  params: z.object({}),
  result: z.object({}),
  errors: [],
});
