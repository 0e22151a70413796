import { z } from 'zod';
import { defineCommand } from '../../command.js';

const rate = z.number().int().min(1).nullable().describe('Bytes a second; null: no limit.');

/** Faces send it when the options of these names are given. */
export const limits = defineCommand({
  name: 'limits',
  place: 'agent',
  says: 'Sets how fast others may fetch from here, from now on; what is not given stays as it is.',
  params: z.object({ upload: rate.optional(), uploadPerLink: rate.optional() }),
  result: z.object({ upload: rate, uploadPerLink: rate }).describe('What held before.'),
  errors: [],
});
