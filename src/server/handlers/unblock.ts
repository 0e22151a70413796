import { ParleyError } from '../../protocol/errors.js';
import { otherUser } from './handler.js';
import type { Handler } from './handler.js';

export const unblock: Handler<'unblock'> = async ({ user }, { session, services }) => {
  const other = await otherUser(services.storage, session, user);
  if (!(await services.blocks.remove(session.user.id, other.id))) {
    throw new ParleyError('NOT_BLOCKED', { user: other.name });
  }
  return { user: other.name };
};
