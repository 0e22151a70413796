import type { Handler } from './handler.js';

export const listMembers: Handler<'list_members'> = async ({ group: name }, { session, services }) => {
  const group = await services.groups.of(session, name);
  return { group: group.name, members: await services.groups.memberNames(group) };
};
