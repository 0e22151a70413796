import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { publicKey, userRef } from '../../values.js';

export const purpose = z.enum(['private', 'transfer']);
export type Purpose = z.output<typeof purpose>;

/** One allowed link: who, with which key, for what, for how long. */
export const introduction = z.object({
  id: z.string().regex(/^[0-9a-f]{32}$/),
  peer: z.string(),
  publicKey,
  purpose,
  ttlMs: z.number().int().min(1),
});
export type Introduction = z.output<typeof introduction>;

export const introduce = defineCommand({
  name: 'introduce',
  place: 'server',
  says: 'Allows one direct link to a user: the server tells them first (expectPeer), then gives this client their key and address.',
  params: z.object({ user: userRef, purpose }),
  result: z.object({ introduction, host: z.string(), port: z.number().int().min(1).max(65_535) }),
  errors: [
    'UNKNOWN_USER',
    'USER_OFFLINE',
    'SELF',
    'BLOCKED',
    'IN_FOCUS_GROUP',
    'PEER_UNREACHABLE',
    'KEY_REQUIRED',
    'SERVER_BUSY',
  ],
});
