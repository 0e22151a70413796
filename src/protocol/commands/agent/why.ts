import { z } from 'zod';
import { defineCommand } from '../../command.js';

export const why = defineCommand({
  name: 'why',
  place: 'agent',
  says: 'Says what a download waits for.',
  params: z.object({ file: z.string().min(1) }),
  result: z.object({
    file: z.string(),
    state: z
      .enum(['running', 'waiting', 'failed', 'done', 'none'])
      .describe('`none`: nothing of this name was downloaded since the agent started.'),
    bytes: z.number().describe('Verified bytes here.'),
    sizeBytes: z.number(),
    reasons: z
      .array(
        z.object({
          code: z
            .string()
            .describe(
              'An error code, or `RUNNING`, `QUEUED`, `RATE_LIMIT`, `LINKING`, `SLOW_HOLDER`, `DONE`, `NOT_RUNNING`.',
            ),
          text: z.string(),
          user: z.string().optional(),
          address: z.string().optional().describe('Where a link was tried.'),
          ahead: z.number().int().optional().describe('Users that are served before this one.'),
          chunks: z.array(z.number().int()).optional(),
        }),
      )
      .describe('The most telling first.'),
  }),
  errors: [],
  cli: {
    arguments: [{ param: 'file', kind: 'word', completes: 'file' }],
    examples: [{ line: 'why movie.mkv', says: 'what it waits for: no holder, a queue, a limit, a full disk, …' }],
  },
});
