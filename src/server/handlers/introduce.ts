import { checkOutside, knownUser } from './handler.js';
import type { Handler } from './handler.js';

export const introduce: Handler<'introduce'> = async ({ user, purpose }, { session, services }, { signal }) => {
  if (purpose === 'private') checkOutside(session);
  const target = await knownUser(services.storage, user);
  return services.introductions.introduce(session, target, purpose, signal);
};
