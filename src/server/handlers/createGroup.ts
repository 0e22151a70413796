import type { Handler } from './handler.js';

export const createGroup: Handler<'create_group'> = async ({ group: name, open }, { session, services }) => {
  const group = await services.groups.create(session, name, open === true ? 'open' : 'focus');
  return { group: group.name, mode: group.mode };
};
