import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const endSession = defineCommand({
  name: 'endSession',
  place: 'server',
  says: 'Ends the session: presence, holdings and the token go; the server then closes the connection.',
  params: z.object({}),
  result: z.object({}),
  errors: [],
});
