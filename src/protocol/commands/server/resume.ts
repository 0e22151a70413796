import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { sessionStart } from './login.js';

export const resume = defineCommand({
  name: 'resume',
  place: 'server',
  says: 'Takes a session up again on a new connection, with its token and the same key; the answer has the next one, and the old one is good for 60 s yet, should the answer be lost.',
  params: z.object({ token: z.string().min(1).max(128) }),
  result: sessionStart,
  errors: ['LOGIN_REQUIRED', 'ALREADY_LOGGED_IN'],
  pages: ['blocked'],
  beforeLogin: true,
});
