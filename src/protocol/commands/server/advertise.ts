import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const advertise = defineCommand({
  name: 'advertise',
  place: 'server',
  says: 'Offers a port for direct links. The server connects to it at the address it sees, checks the key there, and only then gives it to others.',
  params: z.object({ port: z.number().int().min(1).max(65_535) }),
  result: z.object({
    address: z.string().describe('Where others are sent, as `host:port`.'),
    reachable: z.boolean(),
    reason: z.string().optional().describe('Why not, when it is not reachable.'),
  }),
  errors: ['KEY_REQUIRED', 'SERVER_BUSY'],
});
