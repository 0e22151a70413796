import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const acknowledge = defineCommand({
  name: 'acknowledge',
  place: 'server',
  says: 'Says that every pushed message up to this position has arrived; the server pushes at most 100 unacknowledged ones.',
  params: z.object({ position: z.number().int().min(0) }),
  result: z.object({}),
  errors: [],
  passive: true,
  tellable: true,
});
