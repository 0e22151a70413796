import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { introduction } from '../server/introduce.js';

export const expectPeer = defineCommand({
  name: 'expectPeer',
  place: 'client',
  says: 'Tells a client, before the other end dials, whose link with which key to accept once.',
  params: introduction,
  result: z.object({}),
  errors: ['BLOCKED', 'KEY_CHANGED', 'SERVER_BUSY'],
});
