import { ParleyError } from '../../protocol/errors.js';

/** The group commands. */
function unknown(command: string) {
  return (): never => {
    throw new ParleyError('UNKNOWN_COMMAND', { command });
  };
}

export const createGroup = unknown('create_group');
export const joinGroup = unknown('join_group');
export const leaveGroup = unknown('leave_group');
export const listGroups = unknown('list_groups');
export const listMembers = unknown('list_members');
export const sendGroup = unknown('send_group');
