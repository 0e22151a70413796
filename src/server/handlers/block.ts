import { ParleyError } from '../../protocol/errors.js';
import { otherUser } from './handler.js';
import type { Handler } from './handler.js';

export const block: Handler<'block'> = async ({ user }, { session, services }) => {
  const other = await otherUser(services.storage, session, user);
  if (!(await services.blocks.add(session.user.id, other.id, services.clock.epochMs()))) {
    throw new ParleyError('ALREADY_BLOCKED', { user: other.name });
  }
  return { user: other.name };
};
