import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { userRef } from '../../values.js';

/** `focus`: a room that keeps the outside out, one at a time. `open`: no such rule, and one can be in many. */
export const groupMode = z.enum(['focus', 'open']);
export type GroupMode = z.output<typeof groupMode>;

/** A group named by somebody: not checked further, so that a name that cannot exist is NO_SUCH_GROUP or NOT_IN_GROUP. */
export const groupRef = userRef;

export const createGroup = defineCommand({
  name: 'create_group',
  place: 'server',
  says: 'Makes a group, which has no members yet: join_group enters it. A focus group keeps the outside out while one is in it; an open one does not.',
  params: z.object({ group: groupRef, open: z.boolean().optional() }),
  result: z.object({ group: z.string(), mode: groupMode }),
  errors: ['GROUP_EXISTS', 'BAD_NAME', 'TOO_MANY_GROUPS', 'DISK_FULL'],
  cli: {
    arguments: [{ param: 'group', kind: 'word' }],
    options: [{ flags: '--open', param: 'open', kind: 'flag', says: 'an open group: it holds nothing back' }],
    examples: [
      { line: 'create_group exam', says: 'a room to concentrate in' },
      { line: 'create_group news --open', says: 'a room that one can be in besides others' },
    ],
  },
});
