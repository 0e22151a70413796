import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { groupMode } from './createGroup.js';

export const listGroups = defineCommand({
  name: 'list_groups',
  place: 'server',
  says: 'Lists all groups by name, with how many are in each.',
  params: z.object({}),
  result: z.object({
    groups: z.array(z.object({ group: z.string(), mode: groupMode, members: z.number().int().min(0) })),
  }),
  errors: [],
  pages: ['groups'],
  cli: { arguments: [], examples: [{ line: 'list_groups', says: 'which rooms there are' }] },
});
