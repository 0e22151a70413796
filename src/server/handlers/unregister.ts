import type { Handler } from './handler.js';

export const unregister: Handler<'unregister'> = async ({ file: name }, { session, services }) => {
  const file = await services.registry.unregister(session.user.id, name);
  services.log.info({ user: session.user.name, file: file.name }, 'file unregistered');
  return { file: file.name };
};
