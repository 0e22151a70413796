import type { Handler } from './handler.js';

export const renew: Handler<'renew'> = (_params, { session, services }) => {
  services.registry.renew(session.user.id);
  return {};
};
