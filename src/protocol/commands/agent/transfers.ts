import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { transferState } from '../../events.js';

export const transfers = defineCommand({
  name: 'transfers',
  place: 'agent',
  says: 'Lists what is moving now, both ways, and what ended since the agent started.',
  params: z.object({}),
  result: z.object({ transfers: z.array(transferState) }),
  errors: [],
  pages: ['transfers'],
  cli: { arguments: [], examples: [{ line: 'transfers', says: 'how far, how fast, from whom' }] },
});
