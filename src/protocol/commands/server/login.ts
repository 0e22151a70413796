import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { MAX_PASSWORD_BYTES } from '../../limits.js';
import { userRef } from '../../values.js';

/** What a client learns when its session begins. */
export const sessionStart = z.object({
  user: z.string(),
  token: z
    .string()
    .max(128)
    .optional()
    .describe('Lets the holder of the same key take the session up again on a new connection. Secret.'),
  leaseSeconds: z.number().min(1).describe('How long a holding lasts unless renewed.'),
  timeoutSeconds: z.number().min(1).describe('Silence after which a user is logged out.'),
  acknowledged: z.number().int().min(0).describe("The highest position that this user's client acknowledged."),
  unread: z.number().int().min(0),
  blocked: z.array(z.string()),
  nextNumber: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('The `number` that the next message of this key must have; absent without a key.'),
  focus: z.string().optional().describe('The focus group that the user is in.'),
});
export type SessionStart = z.output<typeof sessionStart>;

export const login = defineCommand({
  name: 'login',
  place: 'server',
  says: 'Begins a session with a name and a password; the key of the TLS client certificate, if any, becomes the key of this session.',
  params: z.object({ user: userRef, password: z.string().min(1).max(MAX_PASSWORD_BYTES) }),
  result: sessionStart,
  errors: ['BAD_CREDENTIALS', 'LOCKED_OUT', 'ALREADY_LOGGED_IN', 'SERVER_BUSY'],
  pages: ['blocked'],
  beforeLogin: true,
});
