import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { timestamp } from '../../values.js';

const count = z.number().int().min(0);

/** One user's session, as the operator sees it. */
export const sessionRow = z.object({
  user: z.string(),
  address: z.string().describe('Where the connection comes from.'),
  since: timestamp.describe('When the session began on this connection, by login or resume.'),
  idleSeconds: count.describe('Since the user did something.'),
  group: z.string().optional().describe('The focus group that the user is in.'),
  held: count.describe('Chunks that the user holds for others.'),
});
export type SessionRow = z.output<typeof sessionRow>;

export const status = defineCommand({
  name: 'status',
  place: 'admin',
  says: 'Tells how the server is and who is logged in, by name.',
  params: z.object({}),
  result: z.object({
    version: z.string(),
    address: z.string().describe('Where clients connect, as `host:port`.'),
    pid: count,
    startedAt: timestamp,
    uptimeSeconds: count,
    connections: count.describe('Connections of clients, logged in or not.'),
    online: count.describe('Users who are logged in.'),
    users: count.describe('Accounts.'),
    files: count.describe('Registered files.'),
    waiting: count.describe('Messages in inboxes that their recipients’ clients have not acknowledged yet.'),
    sessions: z.array(sessionRow),
  }),
  errors: [],
  pages: ['sessions'],
});
