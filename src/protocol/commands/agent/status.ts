import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { transferState } from '../../events.js';

export const status = defineCommand({
  name: 'status',
  place: 'agent',
  says: 'Tells who is logged in where, whether the server is reached, where peers connect to, what is held and what is moving.',
  params: z.object({}),
  result: z.object({
    user: z.string().nullable().describe('Null before login.'),
    server: z.string().nullable().describe('`host:port`.'),
    online: z.boolean(),
    listen: z.string().nullable().describe("Where others' direct links come in, as `host:port`."),
    held: z.array(z.object({ file: z.string(), held: z.number(), chunks: z.number() })),
    transfers: z.array(transferState),
  }),
  errors: [],
  pages: ['held'],
  cli: { arguments: [], examples: [{ line: 'status', says: 'am I online, and what am I sharing' }] },
});
