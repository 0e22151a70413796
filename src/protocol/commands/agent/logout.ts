import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const logout = defineCommand({
  name: 'logout',
  place: 'agent',
  says: 'Ends the session and the agent; what is shared is offered again after the next login.',
  params: z.object({}),
  result: z.object({}),
  errors: [],
  cli: { aliases: ['dereg'], arguments: [], examples: [{ line: 'logout', says: 'gone, and no process is left' }] },
});
