import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { MAX_PASSWORD_BYTES } from '../../limits.js';
import { keyFingerprint } from '../../values.js';

/** The key of a server met for the first time, as the server prints it at its start. */
export const pinnedEvent = z.object({ type: z.literal('pinned'), fingerprint: z.string().max(64) });

export const login = defineCommand({
  name: 'login',
  place: 'agent',
  says: 'Logs in and leaves the agent running; asks for what is missing when on a terminal.',
  params: z.object({
    server: z.string().max(300).describe('`host:port` of the server.'),
    user: z.string().max(256),
    password: z.string().min(1).max(MAX_PASSWORD_BYTES),
    fingerprint: keyFingerprint
      .optional()
      .describe("The server's key must be this one; without it the first key seen is pinned."),
  }),
  result: z.object({ user: z.string() }),
  events: pinnedEvent,
  errors: ['BAD_CREDENTIALS', 'LOCKED_OUT', 'ALREADY_LOGGED_IN', 'SERVER_UNREACHABLE', 'KEY_CHANGED'],
  cli: {
    arguments: [{ param: 'user', kind: 'word', optional: true }],
    examples: [
      { line: 'login alice', says: 'asks for the password, unless PARLEY_PASSWORD or --password-file gives it' },
    ],
  },
});
