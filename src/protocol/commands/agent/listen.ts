import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { faceEvent } from '../../events.js';

export const listen = defineCommand({
  name: 'listen',
  place: 'agent',
  says: 'Prints what happens as it happens, one JSON object a line, until interrupted.',
  params: z.object({
    shows: z.boolean().optional().describe('A face that shows messages to a person: they are read then.'),
  }),
  result: z.object({}),
  errors: [],
  events: faceEvent,
  unbounded: true,
  cli: { arguments: [], examples: [{ line: 'listen', says: 'for scripts: messages, presence, notices, transfers' }] },
});
